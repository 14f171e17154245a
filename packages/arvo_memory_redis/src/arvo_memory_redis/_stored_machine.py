"""A workflow as operators see it."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import PackedRecord, Record

from ._record_limits import RecordLimits

# As many as Lua counts exactly.
_VERSION: Final = re.compile(rb"[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """A workflow's latest record."""

    machine_id: str
    """The workflow's subject."""
    version: int
    """How often the record was written; 1 or more."""
    record: Record
    """The latest record, a fresh copy."""


class StoredRecord(NamedTuple):
    """What a hash holds of a workflow's state."""

    version: int
    """How often the record was written; 0 when it never was."""
    record: Record | None
    """The latest record, a fresh copy; None when it never was written."""


def stored_record(
    version: bytes | None, codec: bytes | None, state: bytes | None, *, limits: RecordLimits
) -> StoredRecord:
    """Read three fields of a hash, each None where it is missing.

    Raises:
        UnreadableRecordError: They are damaged, or of a newer version.
    """
    if version is None and codec is None and state is None:
        return StoredRecord(0, None)
    if version is None or not _VERSION.fullmatch(version):
        raise UnreadableRecordError(f"the stored version is {version!r:.40}")
    if codec is None or state is None:
        raise UnreadableRecordError("the stored record has no codec or no state")
    packed = PackedRecord(codec.decode("utf-8", "replace"), state)
    return StoredRecord(int(version), limits.unpack(packed))


def stored_owner(last_owner: bytes | None) -> str:
    """Read the field that says who wrote the record; empty where nobody did.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    try:
        return (last_owner or b"").decode("ascii")
    except UnicodeDecodeError as error:
        raise UnreadableRecordError("the stored last_owner is damaged") from error


def stored_machine(
    subject: bytes | None, *state: bytes | None, limits: RecordLimits
) -> StoredMachine | None:
    """Read `subject`, `version`, `codec` and `state` of a hash; None when it never had a record.

    Raises:
        UnreadableRecordError: They are damaged, or of a newer version.
    """
    version, record = stored_record(*state, limits=limits)
    if record is None:
        return None
    try:
        machine_id = (subject or b"\xff").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise UnreadableRecordError("the stored subject is missing or damaged") from error
    return StoredMachine(machine_id=machine_id, version=version, record=record)
