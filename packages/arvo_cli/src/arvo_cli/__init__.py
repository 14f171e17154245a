"""The `arvo` command: run Arvo handlers over a file of events.

`arvo run TARGET --events FILE` is the whole of it; `main` is the same for Python programs.
"""

from ._command import main

__all__ = ["main"]
