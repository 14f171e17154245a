"""The row of a workflow: its key, its columns, and the record in it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from arvo_core import ArvoOrchestrationSubject, InvalidSubjectError
from arvo_event_handler import (
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
)
from arvo_event_handler.memory import (
    PackedRecord,
    Record,
    WorkflowSummary,
    check_machine_id,
    unpack_chunk,
    unpack_record,
)
from arvo_postgres import is_storable


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorkflow:
    """A workflow as its row shows it; its record is what `read` returns."""

    subject: str
    """The machine id."""
    version: int
    """How often its record was written."""
    status: str | None
    """`active`, `done`, or `failure`; None when the record says none."""
    parent: str | None
    """Subject of the workflow that asked for this one; None for none."""
    root: str | None
    """Subject of the workflow at the top, which may be this one; None when `subject` is no
    orchestration subject."""
    initiator: str | None
    """Source of the event that started it; None when `subject` is no orchestration subject."""
    source: str | None
    """The workflow's own address; None when `subject` is no orchestration subject."""
    created_at: datetime
    """When it was first seen."""
    updated_at: datetime
    """When its record was last written."""
    expires_at: datetime | None
    """When it will be forgotten; None for never."""


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


def machine_key(machine_id: str) -> bytes:
    """Return the key of a machine id: short, whatever the length of the id.

    Raises:
        TransactionViolation: The id is empty or no text that PostgreSQL keeps; cause
            `INVALID_SUBJECT`.
    """
    if not is_storable(check_machine_id(machine_id)):
        raise TransactionViolation(
            "PostgreSQL cannot keep this machine id: it holds a NUL or half a character",
            cause=TransactionViolationCause.INVALID_SUBJECT,
            subject=machine_id,
        )
    return _key_of(machine_id)


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
        b"" if parent is None else _key_of(parent),
        machine_id if parent is None else parent,
        execution.execution.initiator,
        execution.orchestrator.name,
    )


def summary_columns(summary: WorkflowSummary) -> WorkflowColumns:
    """Take the columns from what a commit says about its workflow."""
    parent = _text(summary.parent)
    return WorkflowColumns(
        summary.status,
        summary.finished,
        parent,
        b"" if parent is None else _key_of(parent),
        _text(summary.root),
        _text(summary.initiator),
        _text(summary.source),
    )


def stored_chunks(row: Any, *, max_bytes: int) -> list[tuple[int, bytes]]:
    """Read the chunks of a row, with their numbers.

    Args:
        row: With its numbers and chunks, each None for none.
        max_bytes: How long a chunk may be before compression.

    Raises:
        UnreadableRecordError: A chunk is damaged.
    """
    return [
        (number, unpack_chunk(data, number=number, max_bytes=max_bytes))
        for number, data in zip(row["numbers"] or (), row["chunks"] or (), strict=True)
    ]


def stored_record(row: Any, *, max_bytes: int) -> Record | None:
    """Read the record of a row; None when none was ever written.

    Args:
        row: With its version, codec and state.
        max_bytes: How long the JSON of the record may be.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    version: int = row["version"]
    codec, state = row["codec"], row["state"]
    nothing = codec is None and state is None
    if version < 0 or (version == 0) is not nothing:
        raise UnreadableRecordError(f"the row of version {version} is damaged")
    if nothing:
        return None
    return unpack_record(PackedRecord(codec, state), max_bytes=max_bytes)


def _key_of(machine_id: str) -> bytes:
    return hashlib.blake2b(machine_id.encode(), digest_size=16).digest()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and is_storable(value) else None
