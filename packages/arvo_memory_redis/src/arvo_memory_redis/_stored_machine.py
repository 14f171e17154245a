"""A workflow as operators see it."""

from dataclasses import dataclass

from arvo_event_handler import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """A workflow's latest record."""

    machine_id: str
    """The workflow's subject."""
    version: int
    """How often the record was written; 1 or more."""
    record: Record
    """The latest record, a fresh copy."""
