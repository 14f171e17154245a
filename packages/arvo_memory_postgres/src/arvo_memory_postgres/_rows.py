"""The row of a workflow: its key, its columns, and the record in it."""

import hashlib
from datetime import datetime
from typing import Any, Final, NamedTuple

from arvo_event_handler import (
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
)
from arvo_event_handler.memory import (
    UNCHANGED,
    NextTimer,
    PackedRecord,
    Record,
    Unchanged,
    WorkflowSummary,
    check_machine_id,
    unpack_chunk,
    unpack_record,
)
from arvo_postgres import is_storable

from ._statements import Move

_LONGEST_SOURCE: Final = 2048


class WorkflowColumns(NamedTuple):
    """The columns beside the record, in the order of the statements' parameters.

    `parent_key` is empty, which matches no row, if there is no parent; `root` is used if the parent
    has no row. What PostgreSQL cannot store is None.
    """

    status: str
    finished: bool
    parent: str | None
    parent_key: bytes
    root: str | None
    initiator: str | None
    source: str
    workflow_key: str | None
    contract_version: str | None
    waits_for: list[str] | None
    waits_since: datetime | None
    due: datetime | None
    error: str | None


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


def summary_columns(summary: WorkflowSummary) -> WorkflowColumns:
    """Take the columns from what is said about a workflow."""
    parent = _str_or_none(summary.parent)
    return WorkflowColumns(
        status=summary.status,
        finished=summary.finished,
        parent=parent,
        parent_key=b"" if parent is None else _key_of(parent),
        root=_str_or_none(summary.root),
        initiator=_str_or_none(summary.initiator),
        # An index cannot hold a longer one, and a contract cannot have it.
        source=summary.source if len(summary.source) <= _LONGEST_SOURCE else "",
        workflow_key=_str_or_none(summary.key),
        contract_version=_str_or_none(summary.version),
        waits_for=[each for each in summary.waits_for if is_storable(each)] or None,
        waits_since=summary.waits_since,
        due=summary.due,
        error=_str_or_none(summary.error),
    )


def moved_timer(timer: NextTimer | Unchanged | None) -> tuple[Move, list[object]]:
    """Return what a write does with the due index, and the parameters for that."""
    if timer is UNCHANGED:
        return "kept", []
    if timer is None:
        return "dropped", []
    return "set", [timer.at, timer.key.encode("utf-8", "surrogatepass")]


def key_of_timer(stored: bytes) -> str:
    """Read the key of a timer."""
    return stored.decode("utf-8", "surrogatepass")


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
