"""What a commit says about its workflow, beside the record."""

from datetime import UTC, datetime
from itertools import islice
from typing import Final

from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._summary import WorkflowStatus, WorkflowSummary, workflow_key

from ._workflow import WorkflowStep

_MOST_TYPES: Final = 8

UNSEARCHED: Final = WorkflowSummary(
    status="active", finished=False, source="", key="", version="", initiator="", root=""
)
"""For a memory with four calls, which stores no summary."""


def summary_of(step: WorkflowStep, state: WorkflowState) -> WorkflowSummary:
    """Compose the summary of the state that a step leads to.

    There are no timers yet, so `due` is None.
    """
    execution, parent = step.content.execution, state.parent_subject
    status: WorkflowStatus = "done" if state.status == "done" else "active"
    if state.failed:
        status = "failure"
    waits_for = () if state.ended else tuple(islice(state.owed.asked, _MOST_TYPES))
    since = state.owed.asked_since if waits_for else None
    return WorkflowSummary(
        status=status,
        finished=state.ended,
        source=step.contract.type,
        key=workflow_key(execution_id=execution.id, init_event_id=state.init_event_id),
        version=step.contract.version,
        initiator=execution.initiator,
        parent=parent,
        root=step.event.subject if parent is None else parent,
        waits_for=waits_for,
        waits_since=None if since is None else datetime.fromtimestamp(since / 1000, tz=UTC),
        error=str(state.error["name"]) if isinstance(state.error, dict) else None,
    )
