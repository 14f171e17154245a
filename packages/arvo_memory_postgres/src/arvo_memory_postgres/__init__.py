"""Machine memory of Arvo on PostgreSQL, for many processes."""

from ._memory import PostgresMachineMemory
from ._rows import StoredWorkflow

__all__ = ["PostgresMachineMemory", "StoredWorkflow"]
