"""Events: as they are given to the log, and as it hands them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from ._json import JsonValue


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. What is wrong with it is an `InvalidEventError` of the append.

    Example:
        >>> event = NewEvent("Added", {"amount": 7})
        >>> event.name, event.data
        ('Added', {'amount': 7})
    """

    name: str
    """What happened, such as "Added"; a name, see `stores.check_name`."""
    data: JsonValue
    """Its data, copied by the append."""
    id: UUID = field(default_factory=uuid4, kw_only=True)
    """An id that the log has at most once. Appending the same again stores nothing new."""
    correlation: str | None = field(default=None, kw_only=True)
    """What it belongs to, as a name. None is its own id, and in a reaction the correlation of the
    event that is handled."""
    causation: UUID | None = field(default=None, kw_only=True)
    """The event it follows from. None is none, and in a reaction the event that is handled."""
    meta: Mapping[str, JsonValue] = field(default_factory=dict, kw_only=True)
    """What is not the event's own content, such as a schema number. While spans are recorded, the append
    adds the `traceparent` of the current one, and in a reaction that of its handler, unless it is there
    already; without them a reaction passes on that of the event that is handled."""
    private: JsonValue = field(default=None, kw_only=True)
    """Personal data, which `forget` deletes; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the log. Its containers belong to whoever read it."""

    position: int
    """Its place in the log, from 1. Positions grow with the versions of each stream; they may have
    gaps."""
    stream: str
    """Its stream."""
    version: int
    """Its place in the stream, from 0, without gaps."""
    id: UUID
    """Its id, unique in the log."""
    name: str
    """What happened."""
    data: Any
    """Its data: a JSON value."""
    meta: dict[str, Any]
    """What is not its own content."""
    correlation: str
    """What it belongs to."""
    causation: UUID | None
    """The event it follows from; None if there is none."""
    private: Any
    """Personal data: a JSON value; None if there was none, or it was forgotten."""
    created: datetime
    """When it was stored, by the store's clock, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedEvent(Event):
    """An event whose JSON cannot be read, as scans and leases have it, so that it holds up no other.

    Its `data` and `private` are None and its `meta` is empty. A read of the log raises instead.
    """

    damage: str
    """What is wrong with it."""
