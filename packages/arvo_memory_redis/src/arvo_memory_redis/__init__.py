"""Machine memory of Arvo on Redis or Valkey, shared by many processes.

`RedisMachineMemory.connect(url)` opens the memory; `arvo run --memory redis://...` uses it.
"""

from ._memory import RedisMachineMemory

__all__ = ["RedisMachineMemory"]
