"""Events as they are read."""

from datetime import datetime
from typing import Any
from uuid import UUID

from arvo_event_store._errors import StoreFailure
from arvo_event_store._event import DamagedEvent, Event
from arvo_event_store._json import from_json


class _Unsealed:
    """An event whose fields are being set. In one that is frozen, this takes three times as long."""

    __slots__ = Event.__slots__  # or it could not become an event


def stored_event(
    *,
    position: int,
    stream: str,
    version: int,
    id: UUID,
    name: str,
    data: str,
    meta: str,
    private: str | None,
    correlation: str,
    causation: UUID | None,
    created: datetime,
    keep_damaged: bool = False,
) -> Event:
    """Return an event from what is stored: JSON as text, the rest as in `Event`.

    Args:
        position: See `Event`, as the others.
        stream: Its stream.
        version: Its version.
        id: Its id.
        name: Its name.
        data: Its data.
        meta: Its meta.
        private: Its private data; None if there is none.
        correlation: Its correlation.
        causation: Its causation.
        created: When it was stored.
        keep_damaged: Whether one whose JSON is damaged is a `DamagedEvent`, as in scans and leases.

    Raises:
        StoreFailure: Stored JSON is damaged, and `keep_damaged` is false.
    """
    event: Any = _Unsealed()
    event.position = position
    event.stream = stream
    event.version = version
    event.id = id
    event.name = name
    try:
        event.data = from_json(data)
        event.meta = {} if meta == "{}" else from_json(meta)
        event.private = None if private is None else from_json(private)
    except ValueError as error:
        damage = f"the JSON of event {position} is damaged"
        if not keep_damaged:
            raise StoreFailure(damage, retryable=False, outcome="failed") from error
        return DamagedEvent(
            position=position,
            stream=stream,
            version=version,
            id=id,
            name=name,
            data=None,
            meta={},
            private=None,
            correlation=correlation,
            causation=causation,
            created=created,
            damage=f"{damage}: {error}",
        )
    event.correlation = correlation
    event.causation = causation
    event.created = created
    event.__class__ = Event
    sealed: Event = event
    return sealed
