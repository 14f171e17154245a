"""What stores read and write beside appends: events, snapshots, names of streams, failures."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from arvo_event_store._errors import StoreFailure
from arvo_event_store._event import DamagedEvent, Event
from arvo_event_store._json import from_json, to_json
from arvo_event_store._names import check_name
from arvo_event_store._stream import Snapshot
from arvo_time import BackendError
from arvo_time.settings import check_count, check_instance

from ._read_range import MAX_POSITION


class SnapshotRow(NamedTuple):
    """A snapshot as it is stored."""

    stream: str
    """The stream."""
    kind: str
    """Its kind."""
    version: int
    """The version of the last event in it."""
    schema: int
    """The schema of its state."""
    state: str
    """Its state, as JSON text."""


def snapshot_row(snapshot: Snapshot, *, max_payload_bytes: int) -> SnapshotRow:
    """Check a snapshot and write its JSON.

    Args:
        snapshot: What to store.
        max_payload_bytes: How long the JSON of its state may be.

    Raises:
        TypeError: A field is of another type.
        ValueError: A number is out of its bounds.
        InvalidEventError: A name or the state breaks the rules.
    """
    check_instance(snapshot, kind=Snapshot, name="snapshot")
    stream = check_name(snapshot.stream, path="stream")
    return SnapshotRow(
        stream=stream,
        kind=check_name(snapshot.kind, path="kind", stream=stream),
        version=check_count(snapshot.version, name="version", most=MAX_POSITION),
        schema=check_count(snapshot.schema, name="schema", least=1, most=2**31 - 1),
        state=to_json(snapshot.state, max_bytes=max_payload_bytes, path="state", stream=stream),
    )


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
    try:
        return Event(
            position=position,
            stream=stream,
            version=version,
            id=id,
            name=name,
            data=from_json(data),
            meta={} if meta == "{}" else from_json(meta),
            private=None if private is None else from_json(private),
            correlation=correlation,
            causation=causation,
            created=created,
        )
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


def check_streams(streams: Sequence[str]) -> list[str]:
    """Return the names of streams, each once.

    Raises:
        TypeError: It is a string, or not a sequence of strings.
        InvalidEventError: A name breaks the rules for names.
    """
    if isinstance(streams, str | bytes) or not isinstance(streams, Sequence):
        raise TypeError(f"streams must be a sequence of strings, got {streams!r}")
    return list(dict.fromkeys(check_name(stream, path="streams") for stream in streams))


def store_failure(error: BackendError) -> StoreFailure:
    """Return what the caller gets for an error of a client; raise it `from error.__cause__`."""
    return StoreFailure(str(error), retryable=error.retryable, outcome=error.outcome)
