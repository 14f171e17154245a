"""Event ids: those that a program chooses or has Arvo manage, and those derived from other ids."""

from ._event_id import (
    EventId,
    EventIdPolicy,
    ManagedEventId,
    derive_id,
    parse_event_id,
)

__all__ = [
    "EventId",
    "EventIdPolicy",
    "ManagedEventId",
    "derive_id",
    "parse_event_id",
]
