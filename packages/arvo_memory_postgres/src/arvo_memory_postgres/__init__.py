"""Machine memory of Arvo on PostgreSQL, for many processes."""

from ._memory import PostgresMachineMemory

__all__ = ["PostgresMachineMemory"]
