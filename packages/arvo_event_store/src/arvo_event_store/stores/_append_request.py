"""Appends as a store gets them: checked, with JSON as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from arvo_event_store._append import Append, Appended, KnownEvents
from arvo_event_store._errors import ConflictError, InvalidEventError, StreamClosedError
from arvo_event_store._event import NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._json import to_json
from arvo_event_store._names import check_name
from arvo_event_store._query import check_time
from arvo_event_store._target import PER_EVENT, PER_STREAM, TargetKind, Wake
from arvo_event_store._telemetry import with_trace
from arvo_time.settings import check_count, check_instance
from arvo_time.telemetry import current_traceparent

from ._read_range import MAX_POSITION
from ._replay_key import check_target_key

ANY: Final = -2
NO_STREAM: Final = -1
STREAM_EXISTS: Final = -3
_EXPECTED: Final = {
    Expect.ANY: ANY,
    Expect.NO_STREAM: NO_STREAM,
    Expect.STREAM_EXISTS: STREAM_EXISTS,
}
_KNOWN: Final = ("refuse", "skip")


# These two are not frozen, as that would triple the cost of making one; stores must not change them.
@dataclass(slots=True, kw_only=True)
class EventRow:
    """An event as it is stored."""

    id: UUID
    """Its id."""
    name: str
    """Its name."""
    data: str
    """Its data, as JSON text."""
    meta: str
    """Its meta, as JSON text of an object."""
    private: str | None
    """Its private data, as JSON text; None if there is none."""
    correlation: str
    """Its correlation."""
    causation: UUID | None
    """The event it follows from; None if there is none."""


@dataclass(slots=True, kw_only=True)
class AppendRequest:
    """An append to one stream that passed all checks that need no store."""

    stream: str
    """The stream."""
    expected: int
    """The version that the stream must be at, or one of -1: there must be no such stream; -2: anything;
    -3: there must be such a stream."""
    events: Sequence[EventRow]
    """What to store, in this order."""
    known: KnownEvents
    """What to do with known ids."""
    wakes: Sequence[Wake]
    """The targets to wake, sorted by group and reaction."""
    skipped: tuple[UUID, ...] = ()
    """The ids that were left out already."""

    @property
    def may_begin(self) -> bool:
        """Whether the stream may begin with it."""
        return self.expected in (ANY, NO_STREAM)

    def check_head(self, *, version: int | None, closed: bool) -> None:
        """Check the stream as it is; the store does so in the step that stores.

        Args:
            version: The version of its last event; None if there is no such stream.
            closed: Whether it is closed.

        Raises:
            StreamClosedError: It is closed.
            ConflictError: It is not as expected.
        """
        if closed:
            raise StreamClosedError(self.stream)
        expected = self.expected
        if (
            expected == ANY
            or (expected == STREAM_EXISTS and version is not None)
            or (expected == NO_STREAM and version is None)
            or (expected >= 0 and expected == version)
        ):
            return
        raise self.conflict(version)

    def conflict(self, version: int | None) -> ConflictError:
        """Return the error for a stream that is not as expected.

        Args:
            version: The version of its last event; None if there is no such stream.
        """
        named = {code: expect for expect, code in _EXPECTED.items()}
        return ConflictError(
            self.stream, expected=named.get(self.expected, self.expected), actual=version
        )

    def stored(self, *, version: int, position: int) -> Appended:
        """Return what the caller gets for events that were stored now.

        Args:
            version: The version of the last event.
            position: The position of the last event.
        """
        return Appended(
            stream=self.stream,
            version=version,
            position=position,
            count=len(self.events),
            skipped=self.skipped,
        )


def append_requests(appends: Sequence[Append], *, max_payload_bytes: int) -> list[AppendRequest]:
    """Check appends, as far as that needs no store, and write their JSON.

    An event that has no trace gets the `traceparent` of the current span, if there is one.

    Args:
        appends: What to append; each stream and each id once.
        max_payload_bytes: How long the JSON of data, meta and private may be, each.

    Returns:
        The requests, in the same order.

    Raises:
        TypeError: An argument is of another type.
        ValueError: A stream comes twice, a wake too, `expect` is negative, a time has no zone, or a
            wake is for a target that reads several streams.
        InvalidEventError: A name, an id or JSON breaks the rules, or an id comes twice.
    """
    traceparent = current_traceparent()
    requests: list[AppendRequest] = []
    streams: set[str] = set()
    ids: set[UUID] = set()
    for append in _sequence(appends, name="appends"):
        check_instance(append, kind=Append, name="append")
        stream = check_name(append.stream, path="stream")
        if stream in streams:
            raise ValueError(f"stream {stream!r} comes twice; put its events into one append")
        streams.add(stream)
        expected = _expected(append.expect)
        if append.known not in _KNOWN:
            raise ValueError(f"known must be 'refuse' or 'skip', got {append.known!r}")
        wakes = _wakes(append.wakes, stream=stream)
        events = [
            _row(
                event,
                ids,
                stream=stream,
                number=number,
                max_bytes=max_payload_bytes,
                traceparent=traceparent,
            )
            for number, event in enumerate(_sequence(append.events, name="events"))
        ]
        requests.append(
            AppendRequest(
                stream=stream, expected=expected, events=events, known=append.known, wakes=wakes
            )
        )
    return requests


def _expected(expect: object) -> int:
    if isinstance(expect, Expect):
        return _EXPECTED[expect]
    if not isinstance(expect, int) or isinstance(expect, bool):
        raise TypeError(f"expect must be a version or an Expect, got {expect!r}")
    return check_count(expect, name="expect", most=MAX_POSITION)


def _row(
    event: object,
    ids: set[UUID],
    *,
    stream: str,
    number: int,
    max_bytes: int,
    traceparent: str | None,
) -> EventRow:
    if not isinstance(event, NewEvent):
        raise TypeError(f"stream {stream!r}, event {number}: must be a NewEvent, got {event!r}")
    name = check_name(event.name, path="name", stream=stream, event=number)
    if not isinstance(event.id, UUID):
        raise TypeError(f"stream {stream!r}, event {number}: id must be a UUID, got {event.id!r}")
    if event.id in ids:
        raise InvalidEventError(
            f"{event.id} comes twice in this append", stream=stream, event=number, path="id"
        )
    ids.add(event.id)
    causation = event.causation
    if causation is not None and not isinstance(causation, UUID):
        raise TypeError(
            f"stream {stream!r}, event {number}: causation must be a UUID, got {causation!r}"
        )
    correlation = (
        str(event.id)
        if event.correlation is None
        else check_name(event.correlation, path="correlation", stream=stream, event=number)
    )

    def text(value: object, path: str) -> str:
        return to_json(value, max_bytes=max_bytes, path=path, stream=stream, event=number)

    meta = "{}"
    given = with_trace(event.meta, traceparent)
    if given != {}:
        meta = text(_mapping(given, name=f"stream {stream!r}, event {number}: meta"), "meta")
    return EventRow(
        id=event.id,
        name=name,
        data=text(event.data, "data"),
        meta=meta,
        private=None if event.private is None else text(event.private, "private"),
        correlation=correlation,
        causation=causation,
    )


def _mapping(value: object, *, name: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict or another mapping, got {value!r}")
    return dict(value)


def _sequence(value: object, *, name: str) -> Sequence[Any]:
    if type(value) is list or type(value) is tuple:
        return value  # what it usually is: to ask for a Sequence takes longer
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list or another sequence, got {value!r}")
    return value


def _wakes(wakes: object, *, stream: str) -> Sequence[Wake]:
    if wakes == ():
        return ()
    found: list[Wake] = []
    seen: set[tuple[str, str]] = set()
    for wake in _sequence(wakes, name="wakes"):
        check_instance(wake, kind=Wake, name="wake")
        for field in ("group", "reaction", "lane"):
            check_name(getattr(wake, field), path=f"wakes.{field}", stream=stream)
        check_instance(wake.to, kind=TargetKind, name="wakes.to")
        if wake.to not in (PER_STREAM, PER_EVENT):
            raise ValueError(
                f"stream {stream!r}: wakes.to must be PER_STREAM or PER_EVENT, got {wake.to}"
            )
        check_time(wake.due, name="wakes.due")
        if (wake.group, wake.reaction) in seen:
            raise ValueError(
                f"stream {stream!r}: reaction {wake.reaction!r} of group {wake.group!r} is woken twice"
            )
        if wake.to is PER_STREAM:
            check_target_key(stream, path="wakes.to")
        seen.add((wake.group, wake.reaction))
        found.append(wake)
    return sorted(found, key=lambda wake: (wake.group, wake.reaction))
