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
    """One workflow as a memory lists it, without its record."""

    subject: str
    """The workflow's subject, which is its machine id."""
    version: int
    """How often the record was written."""
    status: str | None
    """`failure` if the workflow failed, else the `status` of its record: `active` or `done`. None if
    the record has none."""
    parent: str | None
    """The subject of the workflow that started this one; None if no workflow did."""
    root: str | None
    """The subject of the root workflow; its own if no workflow started it. None if `subject` is not
    an orchestration subject."""
    initiator: str | None
    """The source of the event that started it; None if `subject` is not an orchestration subject."""
    source: str | None
    """The workflow's own address; None if `subject` is not an orchestration subject."""
    created_at: datetime
    """When the workflow was first leased or written."""
    updated_at: datetime
    """When the record was last written."""
    expires_at: datetime | None
    """When the record will be forgotten; None means never."""


class WorkflowColumns(NamedTuple):
    """The columns beside the record, in the order of the statements' parameters.

    `parent_key` is empty, which matches no row, if there is no parent; `root` is used if the parent
    has no row.
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
        TransactionViolation: The id is empty, or a string that PostgreSQL cannot store; cause
            `INVALID_SUBJECT`.
    """
    if not is_storable(check_machine_id(machine_id)):
        raise TransactionViolation(
            "PostgreSQL cannot store this machine id: it contains a NUL or a lone surrogate",
            cause=TransactionViolationCause.INVALID_SUBJECT,
            subject=machine_id,
        )
    return _key_of(machine_id)


def workflow_columns(machine_id: str, record: Record) -> WorkflowColumns:
    """Read the columns from a record and its subject; None for what these do not contain."""
    failed = record.get("executionStatus") == "failure"
    status = "failure" if failed else _str_or_none(record.get("status"))
    finished = status in {"failure", "done"}
    try:
        execution = ArvoOrchestrationSubject.parse(machine_id)
    except InvalidSubjectError:
        return WorkflowColumns(status, finished, None, b"", None, None, None)
    parent = _str_or_none(record.get("parentSubject"))
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
    parent = _str_or_none(summary.parent)
    return WorkflowColumns(
        summary.status,
        summary.finished,
        parent,
        b"" if parent is None else _key_of(parent),
        _str_or_none(summary.root),
        _str_or_none(summary.initiator),
        _str_or_none(summary.source),
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
    """Read the record of a row; None if none was ever written.

    Args:
        row: A row with version, codec and state.
        max_bytes: How long the JSON of the record may be.

    Raises:
        UnreadableRecordError: The row is damaged.
    """
    version: int = row["version"]
    codec, state = row["codec"], row["state"]
    is_empty = codec is None and state is None
    if version < 0 or (version == 0) is not is_empty:
        raise UnreadableRecordError(f"the row of version {version} is damaged")
    if is_empty:
        return None
    return unpack_record(PackedRecord(codec, state), max_bytes=max_bytes)


def _key_of(machine_id: str) -> bytes:
    return hashlib.blake2b(machine_id.encode(), digest_size=16).digest()


def _str_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and is_storable(value) else None
