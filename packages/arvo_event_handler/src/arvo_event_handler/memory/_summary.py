"""What every commit says about its workflow, so that workflows can be searched."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from arvo_core import ArvoOrchestrationSubject, InvalidSubjectError

WorkflowStatus: TypeAlias = Literal["active", "done", "failure"]
"""How a workflow stands. `failure`: it ended with a system error."""


# Not frozen, which would triple the cost of making one for every step.
@dataclass(slots=True, kw_only=True)
class WorkflowSummary:
    """A workflow as of one commit: what a memory can search without reading the record."""

    status: WorkflowStatus
    """`active` until the workflow has ended."""
    finished: bool
    """Whether the workflow has ended, completed or failed."""
    source: str
    """The workflow's type, which is the source of its events."""
    key: str
    """The id that people use for the workflow: the execution id of its subject if one was chosen,
    else the id of the event that started it."""
    version: str
    """The version of the workflow's contract."""
    initiator: str
    """The source of the event that started it."""
    parent: str | None = None
    """The subject of the workflow that asked for this one; None when no workflow did."""
    root: str
    """The subject of the topmost workflow as far as this one knows: its parent's, or its own. A
    memory that has the parent's row takes the root from there."""
    waits_for: tuple[str, ...] = ()
    """The event types that it waits for, and `timer` at the end if it waits for a time; at most 8."""
    waits_since: datetime | None = None
    """When it began to wait; None when it does not wait."""
    due: datetime | None = None
    """When its next timer fires; None when it has none."""
    error: str | None = None
    """The name of the error that it failed with; None unless it failed."""


_UUID: Final = re.compile(r"-".join(rf"[0-9a-fA-F]{{{count}}}" for count in (8, 4, 4, 4, 12)))


def workflow_key(*, execution_id: str, init_event_id: str) -> str:
    """Return the id that people use for a workflow."""
    # An id that was not chosen is random and means nothing to people.
    return init_event_id if _UUID.fullmatch(execution_id) else execution_id


def summary_of_record(record: dict[str, JsonValue], *, subject: str) -> WorkflowSummary:
    """Return what a record and its subject say about a workflow, for a bare `write` of a memory.

    A commit says more. Without a status the workflow counts as active. If the subject is not an
    orchestration subject, source, version and initiator are empty.

    Example:
        >>> summary_of_record({"status": "done"}, subject="order-7").status
        'done'
    """
    status: WorkflowStatus = "done" if record.get("status") == "done" else "active"
    if record.get("executionStatus") == "failure":
        status = "failure"
    said, parent, error = (record.get(name) for name in ("initEventId", "parentSubject", "error"))
    init_event_id = said if isinstance(said, str) and said else subject
    source = version = initiator = ""
    key = init_event_id
    try:
        content = ArvoOrchestrationSubject.parse(subject)
    except InvalidSubjectError:
        pass
    else:
        source, version = content.orchestrator.name, content.orchestrator.version
        initiator = content.execution.initiator
        key = workflow_key(execution_id=content.execution.id, init_event_id=init_event_id)
    name = error.get("name") if isinstance(error, dict) else None
    parent = parent if isinstance(parent, str) and parent else None
    return WorkflowSummary(
        status=status,
        finished=status != "active",
        source=source,
        key=key,
        version=version,
        initiator=initiator,
        parent=parent,
        root=subject if parent is None else parent,
        error=name if status == "failure" and isinstance(name, str) else None,
    )
