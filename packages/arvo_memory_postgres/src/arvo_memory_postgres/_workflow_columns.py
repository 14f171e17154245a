"""What can be asked about a workflow without reading its record."""

from typing import NamedTuple

from arvo_core import ArvoOrchestrationSubject, InvalidSubjectError
from arvo_event_handler.memory import Record

from ._machine_key import is_storable, key_of


class WorkflowColumns(NamedTuple):
    """The columns beside the record, in the order in which statements take them.

    `parent_key` is empty, which is no row's key, where there is no parent; `root` is what to take
    when the parent's row does not tell.
    """

    status: str | None
    finished: bool
    parent: str | None
    parent_key: bytes
    root: str | None
    initiator: str | None
    source: str | None


def workflow_columns(machine_id: str, record: Record) -> WorkflowColumns:
    """Read the columns from a record and its subject; None for what they do not say."""
    failed = record.get("executionStatus") == "failure"
    status = "failure" if failed else _text(record.get("status"))
    finished = status in {"failure", "done"}
    try:
        execution = ArvoOrchestrationSubject.parse(machine_id)
    except InvalidSubjectError:
        return WorkflowColumns(status, finished, None, b"", None, None, None)
    parent = _text(record.get("parentSubject"))
    return WorkflowColumns(
        status,
        finished,
        parent,
        b"" if parent is None else key_of(parent),
        machine_id if parent is None else parent,
        execution.execution.initiator,
        execution.orchestrator.name,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and is_storable(value) else None
