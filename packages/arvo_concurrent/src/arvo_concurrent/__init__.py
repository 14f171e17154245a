"""The concurrent machine memory and event broker of Arvo, in one process."""

from ._memory import ConcurrentMachineMemory

__all__ = ["ConcurrentMachineMemory"]
