"""What a commit says about its workflow, beside the record."""

import re
from typing import Final

from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._summary import WorkflowStatus, WorkflowSummary

from ._workflow import WorkflowStep

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def summary_of(step: WorkflowStep, state: WorkflowState) -> WorkflowSummary:
    """Compose the summary of the state that a step leads to.

    It does not include yet what the workflow waits for: `waits_for`, `waits_since` and `due`.
    """
    execution, parent = step.content.execution, state.parent_subject
    status: WorkflowStatus = "done" if state.status == "done" else "active"
    if state.failed:
        status = "failure"
    return WorkflowSummary(
        status=status,
        finished=state.ended,
        source=step.contract.type,
        # An id that was not chosen is random and means nothing to people.
        key=state.init_event_id if _UUID.fullmatch(execution.id) else execution.id,
        version=step.contract.version,
        initiator=execution.initiator,
        parent=parent,
        root=step.event.subject if parent is None else parent,
        error=str(state.error["name"]) if isinstance(state.error, dict) else None,
    )
