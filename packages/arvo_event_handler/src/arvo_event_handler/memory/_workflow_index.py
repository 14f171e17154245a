"""Memories whose index of workflows is apart from the workflows."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class IWorkflowIndex(Protocol):
    """A memory that answers queries from an index which it does not write together with workflows.

    Optional for memories: ask `isinstance(memory, IWorkflowIndex)`. Others have nothing to make anew.
    """

    async def reindex(self) -> int:
        """Make the index anew from the workflows, which may run meanwhile.

        Returns:
            How many workflows there are.

        Raises:
            MachineMemoryError: The backend failed.
        """
        ...
