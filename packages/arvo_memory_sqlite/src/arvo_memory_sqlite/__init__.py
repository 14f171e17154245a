"""Machine memory of Arvo in a SQLite file: durable on one machine, nothing to install.

`SqliteMachineMemory.connect(path)` opens the memory; `arvo run --memory sqlite:///state.db` uses it.
"""

from ._memory import SqliteMachineMemory

__all__ = ["SqliteMachineMemory"]
