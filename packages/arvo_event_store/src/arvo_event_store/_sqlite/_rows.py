"""What the columns of the tables mean."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, SafeUUID

from arvo_event_store._errors import StoreFailure
from arvo_event_store._event import Event
from arvo_event_store._reaction_state import ParkedEvent
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store._target import TargetKind, TargetState
from arvo_event_store.stores import READS, from_json, stored_event

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
    "grp, reaction, key, lane, stream, reads, at, mark, attempt, failed, token, due, blocked_at, "
    "error, error_position, lease_until"
)
"""What `target_of` reads, of `target`."""
PARKED_COLUMNS: Final = "grp, reaction, key, position, error, attempts, parked_at"
"""What `parked_of` reads, of `parked`."""

READS_EVENT: Final = READS[TargetKind.EVENT]
"""What is stored of a target that is one event's, and gone once that is done."""
_KINDS: Final = {code: kind for kind, code in READS.items()}
_ID_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
# A time near the end of the calendar with an offset may lie beyond it in UTC.
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _TICK
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _TICK


# `UUID` sets its fields so as if somebody else could be in the way, which takes three times as long.
_set_int, _set_is_safe = (vars(UUID)[name].__set__ for name in ("int", "is_safe"))


def microseconds(time: datetime) -> int:
    """Return how the tables store a time that has a time zone."""
    return min(max((time - _EPOCH) // _TICK, _FIRST), _LAST)


def later(time: datetime, delay: timedelta) -> int:
    """Return how the tables store a time so much later, at most the end of the calendar."""
    return min(max(microseconds(time) + delay // _TICK, _FIRST), _LAST)


def delay_until(stored: int, *, now: datetime) -> timedelta:
    """Return how long it is until a stored time; 0 if it is past."""
    return max(stored - microseconds(now), 0) * _TICK


def json_list(names: Sequence[str]) -> str:
    """Return names as a parameter for SQLite's `json_each`."""
    return json.dumps(names, ensure_ascii=False)


def event_of(row: Any, *, keep_damaged: bool = False) -> Event:
    """Return an event; see `stored_event`.

    Raises:
        StoreFailure: The row is damaged.
    """
    position, stream, version, id_, name, data, meta, private, correlation, causation, created = row
    try:
        id_ = _uuid(id_)
        causation = None if causation is None else _uuid(causation)
    except ValueError as error:
        raise damaged(f"an id of event {position}") from error
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
        keep_damaged=keep_damaged,
    )


def json_length(row: Any) -> int:
    """Return how long the JSON of an event is, in characters."""
    private = row[7]
    return len(row[5]) + len(row[6]) + (0 if private is None else len(private))


def data_bytes(row: Any) -> int:
    """Return how long the JSON of an event's data is, in bytes of UTF-8."""
    data: str = row[5]
    return len(data) if data.isascii() else len(data.encode())


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
        closed=time_or_none(closed),
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
        raise damaged(f"the snapshot of stream {stream!r} at version {version}") from error
    return Snapshot(stream=stream, kind=kind, version=version, schema=schema, state=state)


def target_of(row: Any) -> TargetState:
    """Return a target.

    Raises:
        StoreFailure: The row is damaged.
    """
    group, reaction, key, lane, stream, reads, at, mark, attempt, failed, token, *rest = row
    due, blocked_at, error, error_position, lease_until = rest
    return TargetState(
        group=group,
        reaction=reaction,
        key=key,
        lane=lane,
        stream=stream,
        once=reads == READS_EVENT,
        at=at,
        mark=mark,
        attempt=attempt,
        failed=failed,
        token=token,
        due=time_or_none(due),
        blocked_at=time_or_none(blocked_at),
        error=error,
        error_position=error_position,
        leased_until=time_or_none(lease_until),
    )


def parked_of(row: Any) -> ParkedEvent:
    """Return an event that was put aside.

    Raises:
        StoreFailure: The row is damaged.
    """
    group, reaction, key, position, error, attempts, parked_at = row
    return ParkedEvent(
        group=group,
        reaction=reaction,
        key=key,
        position=position,
        error=error,
        attempts=attempts,
        parked_at=_time(parked_at),
    )


def kind_of(stored: int, *, key: str) -> TargetKind:
    """Return what a target reads.

    Raises:
        StoreFailure: The row is damaged.
    """
    try:
        return _KINDS[stored]
    except KeyError as error:
        raise damaged(f"what target {key!r} reads") from error


def time_or_none(stored: int | None) -> datetime | None:
    """Return a time, or None if there is none.

    Raises:
        StoreFailure: It is damaged.
    """
    return None if stored is None else _time(stored)


def _uuid(stored: bytes) -> UUID:
    if len(stored) != _ID_BYTES:
        raise ValueError(f"an id has {_ID_BYTES} bytes, not {len(stored)}")
    found = object.__new__(UUID)
    _set_int(found, int.from_bytes(stored, "big"))
    _set_is_safe(found, SafeUUID.unknown)
    return found


def _time(stored: int) -> datetime:
    try:
        return _EPOCH + timedelta(0, 0, stored)
    except OverflowError as error:
        raise damaged(f"the time {stored}") from error


def damaged(what: str) -> StoreFailure:
    """Return the error for something stored that cannot be read."""
    return StoreFailure(f"{what} is damaged", retryable=False, outcome="failed")
