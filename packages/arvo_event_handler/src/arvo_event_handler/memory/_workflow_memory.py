"""What the execution of a workflow needs of a machine memory, whichever kind it is."""

from datetime import timedelta
from typing import Protocol

from ._memory import MachineLease, Record


class WorkflowMemory(Protocol):
    """The part of `ILeasedMachineMemory` that takes one event through."""

    async def acquire(self, machine_id: str) -> MachineLease | None:
        """Lock and read; None when somebody else holds the workflow."""
        ...

    async def commit(
        self, lease: MachineLease, record: Record, *, expires_in: timedelta | None = None
    ) -> None:
        """Write `record` and drop the lease."""
        ...

    async def release(self, lease: MachineLease) -> None:
        """Give the lease up without writing. Harmless when it was dropped already."""
        ...
