"""What a commit says about its workflow, beside the record."""

from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._summary import WorkflowStatus, WorkflowSummary, workflow_key

from ._workflow import WorkflowStep


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
        key=workflow_key(execution_id=execution.id, init_event_id=state.init_event_id),
        version=step.contract.version,
        initiator=execution.initiator,
        parent=parent,
        root=step.event.subject if parent is None else parent,
        error=str(state.error["name"]) if isinstance(state.error, dict) else None,
    )
