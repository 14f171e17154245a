"""Event ids: chosen by a program, managed by Arvo, or derived from other ids."""

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
