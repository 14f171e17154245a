"""What the columns of the tables mean."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from arvo_event_store._errors import StoreFailure
from arvo_event_store._event import Event
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store._target import TargetState
from arvo_event_store.stores import from_json, stored_event

EVENT_COLUMNS: Final = (
    "position, stream, version, id, name, event.data, meta, private.data, correlation, causation, "
    "created_at"
)
"""What `event_of` reads, of `event LEFT JOIN private USING (position)`."""
HEAD_COLUMNS: Final = "name, version, first_version, closed_at, archive, created_at, updated_at"
"""What `head_of` reads, of `stream`."""
SNAPSHOT_COLUMNS: Final = "stream, kind, version, schema, state"
"""What `snapshot_of` reads, of `snapshot`."""
TARGET_COLUMNS: Final = (
    "grp, reaction, key, lane, stream, once, at, mark, attempt, failed, token, due, blocked_at, "
    "error, error_position"
)
"""What `target_of` reads, of `target`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
# A time near the end of the calendar with an offset may lie beyond it in UTC.
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _TICK
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _TICK


def microseconds(time: datetime) -> int:
    """Return how the tables store a time that has a time zone."""
    return min(max((time - _EPOCH) // _TICK, _FIRST), _LAST)


def event_of(row: Any) -> Event:
    """Return an event.

    Raises:
        StoreFailure: The row is damaged.
    """
    position, stream, version, id_, name, data, meta, private, correlation, causation, created = row
    try:
        id_ = UUID(bytes=id_)
        causation = None if causation is None else UUID(bytes=causation)
    except ValueError as error:
        raise _damaged(f"an id of event {position}") from error
    return stored_event(
        position=position,
        stream=stream,
        version=version,
        id=id_,
        name=name,
        data=data,
        meta=meta,
        private=private,
        correlation=correlation,
        causation=causation,
        created=_time(created),
    )


def json_length(row: Any) -> int:
    """Return how long the JSON of an event is, in characters."""
    _, _, _, _, _, data, meta, private, *_ = row
    return len(data) + len(meta) + (0 if private is None else len(private))


def head_of(row: Any) -> StreamHead:
    """Return where a stream stands.

    Raises:
        StoreFailure: The row is damaged.
    """
    name, version, first_version, closed, archive, created, updated = row
    return StreamHead(
        stream=name,
        version=version,
        first_version=first_version,
        closed=_time_or_none(closed),
        archive=archive,
        created=_time(created),
        updated=_time(updated),
    )


def snapshot_of(row: Any) -> Snapshot:
    """Return a snapshot.

    Raises:
        StoreFailure: The row is damaged.
    """
    stream, kind, version, schema, state = row
    try:
        state = from_json(state)
    except ValueError as error:
        raise _damaged(f"the snapshot of stream {stream!r} at version {version}") from error
    return Snapshot(stream=stream, kind=kind, version=version, schema=schema, state=state)


def target_of(row: Any) -> TargetState:
    """Return a target.

    Raises:
        StoreFailure: The row is damaged.
    """
    group, reaction, key, lane, stream, once, at, mark, attempt, failed, token, *rest = row
    due, blocked_at, error, error_position = rest
    return TargetState(
        group=group,
        reaction=reaction,
        key=key,
        lane=lane,
        stream=stream,
        once=bool(once),
        at=at,
        mark=mark,
        attempt=attempt,
        failed=failed,
        token=token,
        due=_time_or_none(due),
        blocked_at=_time_or_none(blocked_at),
        error=error,
        error_position=error_position,
    )


def _time_or_none(stored: int | None) -> datetime | None:
    return None if stored is None else _time(stored)


def _time(stored: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=stored)
    except OverflowError as error:
        raise _damaged(f"the time {stored}") from error


def _damaged(what: str) -> StoreFailure:
    return StoreFailure(f"{what} is damaged", retryable=False, outcome="failed")
