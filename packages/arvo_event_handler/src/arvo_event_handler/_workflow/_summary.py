"""What a commit says about its workflow, beside the record."""

from datetime import UTC, datetime
from typing import Final

from arvo_event_handler.memory._pending_timers import earliest_timer
from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._summary import WorkflowStatus, WorkflowSummary, workflow_key

from ._workflow import WorkflowStep

_MOST_TYPES: Final = 8
_FOR_TIME: Final = "timer"
"""What a workflow waits for that has a pending timer, beside the types of events."""

UNSEARCHED: Final = WorkflowSummary(
    status="active", finished=False, source="", key="", version="", initiator="", root=""
)
"""For a memory with four calls, which stores no summary."""


def summary_of(step: WorkflowStep, state: WorkflowState) -> WorkflowSummary:
    """Compose the summary of the state that a step leads to."""
    execution, parent = step.content.execution, state.parent_subject
    status: WorkflowStatus = "done" if state.status == "done" else "active"
    if state.failed:
        status = "failure"
    ended = state.ended
    waits_for = () if ended else tuple(state.owed.asked)[:_MOST_TYPES]
    since = state.owed.asked_since if waits_for else None
    due = None
    if (timer := earliest_timer(state.timers)) is not None:
        due = timer.at
        waits_for = (*waits_for[: _MOST_TYPES - 1], _FOR_TIME)
        if since is None and state.latest is not None:
            since = state.latest.at
    return WorkflowSummary(
        status=status,
        finished=ended,
        source=step.contract.type,
        key=workflow_key(execution_id=execution.id, init_event_id=state.init_event_id),
        version=step.contract.version,
        initiator=execution.initiator,
        parent=parent,
        root=step.event.subject if parent is None else parent,
        waits_for=waits_for,
        waits_since=None if since is None else datetime.fromtimestamp(since / 1000, tz=UTC),
        due=due,
        error=str(state.error["name"]) if isinstance(state.error, dict) else None,
    )
