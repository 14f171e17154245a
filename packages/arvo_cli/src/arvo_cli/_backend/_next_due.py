"""Until when the workflow of an event, or one below it, waits for time."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler, IWorkflowHandler
from arvo_event_handler.memory import IWorkflowQueries, StoredWorkflow, WorkflowQuery

from ._stored_workflows import active_workflows, all_pages

_TIMER = "timer"


@dataclass(frozen=True, slots=True)
class NextDue:
    """The earliest timer of a workflow and those below it."""

    at: datetime
    """When it is due, in UTC."""
    subject: str
    """The subject of the workflow whose timer it is."""


class NextTimers:
    """Asks the memories of some handlers for the earliest timer of a workflow.

    Args:
        handlers: The handlers.
    """

    def __init__(self, handlers: Iterable[IArvoEventHandler]) -> None:
        self._memories: dict[str, object] = {
            handler.source: handler.memory
            for handler in handlers
            if isinstance(handler, IWorkflowHandler)
        }

    async def of(self, event: ArvoEvent) -> NextDue | None:
        """Return what the workflow that an event has started waits for; None when it is not a time.

        Args:
            event: The event.

        Raises:
            MachineMemoryError: The memory fails.
        """
        memory = self._memories.get(event.to or event.type)
        if not isinstance(memory, IWorkflowQueries):
            return None
        root = await memory.workflow(event.subject)
        if root is None or root.status != "active":
            return None
        found = [root]
        if set(root.waits_for) != {_TIMER}:
            found += [each async for each in _below(memory, root)]
        waiting = [NextDue(each.due, each.subject) for each in found if each.due is not None]
        return min(waiting, key=lambda each: each.at, default=None)


async def _below(memory: IWorkflowQueries, root: StoredWorkflow) -> AsyncIterator[StoredWorkflow]:
    query = WorkflowQuery(status=frozenset({"active"}), root=root.subject)
    try:
        async for workflow in all_pages(memory, query):
            yield workflow
    except ValueError:  # Redis cannot search by the root
        async for workflow in active_workflows(memory):
            if workflow.root == root.subject:
                yield workflow
