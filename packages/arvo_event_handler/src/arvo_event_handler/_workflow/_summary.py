"""What a commit says about its workflow, beside the record."""

import re
from typing import Final

from arvo_event_handler.memory._memory import Record
from arvo_event_handler.memory._summary import WorkflowStatus, WorkflowSummary

from ._workflow import WorkflowStep

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def summary_of(step: WorkflowStep, record: Record) -> WorkflowSummary:
    """Compose the summary of a record that a step has made.

    What the workflow waits for is not said yet: `waits_for`, `waits_since` and `due` are empty.

    Args:
        step: The step.
        record: Whole, as it is before a finished one is reduced.
    """
    parent, error = step.parent_subject, record.get("error")
    failed = record["executionStatus"] == "failure"
    status: WorkflowStatus = "active"
    if failed:
        status = "failure"
    elif record["status"] == "done":
        status = "done"
    execution = step.content.execution
    return WorkflowSummary(
        status=status,
        finished=status != "active",
        source=step.contract.type,
        # An id that nobody chose is random, and says nothing to people.
        key=step.init_event_id if _UUID.fullmatch(execution.id) else execution.id,
        version=step.contract.version,
        initiator=execution.initiator,
        parent=parent,
        root=step.event.subject if parent is None else parent,
        error=str(error["name"]) if isinstance(error, dict) and failed else None,
    )
