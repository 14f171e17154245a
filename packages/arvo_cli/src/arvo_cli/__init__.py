"""The `arvo` command: run Arvo handlers over a file of events, and draw their statecharts.

`arvo run TARGET --events FILE` runs, `arvo machine diagram TARGET` draws statecharts; `main` is the
same for Python programs.
"""

from ._main import main

__all__ = ["main"]
