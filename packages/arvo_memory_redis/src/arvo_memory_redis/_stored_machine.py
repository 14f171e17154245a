"""A workflow as operators see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arvo_event_handler import PackedRecord, Record, unpack_record


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """A workflow's latest record."""

    machine_id: str
    """The workflow's subject."""
    version: int
    """How often the record was written; 1 or more."""
    record: Record
    """The latest record, a fresh copy."""


def stored_machine(fields: Sequence[Any]) -> StoredMachine | None:
    """Read `version`, `codec`, `state` and `subject` of a hash; None when it never had a record.

    Raises:
        MachineMemoryError: What is stored is damaged.
    """
    version, codec, state, subject = fields
    if version is None:
        return None
    return StoredMachine(
        machine_id=subject.decode("utf-8", "surrogatepass"),
        version=int(version),
        record=unpack_record(PackedRecord(codec.decode(), state)),
    )
