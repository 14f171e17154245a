"""What a store in memory holds of one stream, and of all."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID

from arvo_event_store._event import Event
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store.stores import (
    EventRow,
    KnownEvent,
    Page,
    PageRange,
    SnapshotRow,
    from_json,
    page_rows,
    stored_event,
)


@dataclass(slots=True)
class StoredEvent:
    """An event, with its place and time."""

    position: int
    stream: str
    version: int
    row: EventRow
    created: datetime
    private: str | None
    """As JSON text; None if there was none, or it was forgotten."""

    def event(self) -> Event:
        """Return the event, with containers of its own."""
        row = self.row
        return stored_event(
            position=self.position,
            stream=self.stream,
            version=self.version,
            id=row.id,
            name=row.name,
            data=row.data,
            meta=row.meta,
            private=self.private,
            correlation=row.correlation,
            causation=row.causation,
            created=self.created,
        )

    def known(self) -> KnownEvent:
        """Return what an append with the same id is compared with."""
        return KnownEvent(self.stream, self.version, self.position, self.row.name, self.row.data)

    def size(self) -> int:
        """Return how long its JSON is, in characters."""
        private = 0 if self.private is None else len(self.private)
        return len(self.row.data) + len(self.row.meta) + private

    def fits(self, where: Query | None) -> bool:
        """Return whether a query finds it; None finds all."""
        return where is None or (
            self.stream.startswith(where.stream_prefix)
            and (where.names is None or self.row.name in where.names)
            and (where.correlation is None or self.row.correlation == where.correlation)
            and (where.created_from is None or self.created >= where.created_from)
            and (where.created_before is None or self.created < where.created_before)
        )


@dataclass(slots=True)
class Stream:
    """A stream: its head, its events, its snapshots."""

    name: str
    created: datetime
    updated: datetime
    version: int = -1
    closed: datetime | None = None
    archive: str | None = None
    events: list[StoredEvent] = field(default_factory=list)
    snapshots: dict[str, dict[int, SnapshotRow]] = field(default_factory=dict)

    @property
    def first_version(self) -> int:
        """The version of the first event that is kept."""
        return self.version + 1 - len(self.events)

    def head(self) -> StreamHead:
        """Return where it stands."""
        return StreamHead(
            stream=self.name,
            version=self.version,
            first_version=self.first_version,
            closed=self.closed,
            archive=self.archive,
            created=self.created,
            updated=self.updated,
        )

    def page(self, page: PageRange) -> Iterator[StoredEvent]:
        """Yield its events of a range, in the order of reading."""
        first = self.first_version
        upto = self.version if page.upto is None else min(page.upto, self.version)
        found = range(max(page.after + 1, first), upto + 1)[:: -1 if page.backward else 1]
        return (self.events[version - first] for version in found[: page.limit])

    def between(self, after: int, upto: int) -> Iterator[StoredEvent]:
        """Yield its events of a range of positions."""
        return _between(self.events, after, upto)

    def needed(self, *, at: int) -> int:
        """Return the version of the first event above a position, or the next one to come."""
        return self.first_version + bisect_right(self.events, at, key=_position)

    def snapshot(self, kind: str, *, upto: int | None) -> Snapshot | None:
        """Return the newest snapshot of a kind up to a version; None if there is none."""
        found = self.snapshots.get(kind, {})
        versions = [version for version in found if upto is None or version <= upto]
        if not versions:
            return None
        row = found[max(versions)]
        return Snapshot(
            stream=row.stream,
            kind=row.kind,
            version=row.version,
            schema=row.schema,
            state=from_json(row.state),
        )

    def newest_snapshot(self) -> int | None:
        """Return the highest version that a snapshot has; None if there is none."""
        return max(
            (version for found in self.snapshots.values() for version in found), default=None
        )

    def forget(self) -> int:
        """Delete all private data, and return how many events had any."""
        found = [event for event in self.events if event.private is not None]
        for event in found:
            event.private = None
        return len(found)


class Log:
    """All events, in the order of their positions."""

    def __init__(self) -> None:
        self._events: list[StoredEvent] = []
        self._by_id: dict[UUID, StoredEvent] = {}
        self._last = 0

    @property
    def last(self) -> int:
        """The last position that was given; 0 if none was."""
        return self._last

    def between(self, after: int, upto: int) -> Iterator[StoredEvent]:
        """Yield the events of a range of positions."""
        return _between(self._events, after, upto)

    def named(self, names: Collection[str] | None, *, after: int, limit: int) -> list[StoredEvent]:
        """Return the next events that have one of these names; None is any."""
        found = self.between(after, self._last)
        return list(
            islice((each for each in found if names is None or each.row.name in names), limit)
        )

    def known(self, rows: Sequence[EventRow]) -> Mapping[UUID, KnownEvent]:
        """Return the events that have one of the rows' ids."""
        by_id = self._by_id
        return {row.id: by_id[row.id].known() for row in rows if row.id in by_id}

    def add(self, stream: Stream, row: EventRow, *, created: datetime) -> int:
        """Store an event at the end of a stream, and return its position."""
        self._last += 1
        stream.version += 1
        stored = StoredEvent(self._last, stream.name, stream.version, row, created, row.private)
        self._events.append(stored)
        self._by_id[row.id] = stored
        stream.events.append(stored)
        return self._last

    def cut(self, stream: Stream, *, before: int) -> None:
        """Delete the events of a stream below a version."""
        count = max(before - stream.first_version, 0)
        for event in stream.events[:count]:
            del self._by_id[event.row.id]
        if count:
            gone = {event.position for event in stream.events[:count]}
            self._events = [event for event in self._events if event.position not in gone]
        del stream.events[:count]

    def page(self, page: PageRange, where: Query | None) -> list[StoredEvent]:
        """Return the events of a range that a query finds, in the order of reading."""
        events = self._events
        begin = bisect_right(events, page.after, key=_position)
        end = len(events) if page.upto is None else bisect_right(events, page.upto, key=_position)
        found: list[StoredEvent] = []
        for index in range(begin, end)[:: -1 if page.backward else 1]:
            if events[index].fits(where):
                found.append(events[index])
                if len(found) == page.limit:
                    break
        return found


def stored_page(events: Iterable[StoredEvent], page: PageRange, *, end: int) -> Page:
    """Return a page of events, with containers of its own."""
    found, is_cut = page_rows(events, max_bytes=page.max_bytes, size=StoredEvent.size)
    return Page([each.event() for each in found], end, is_cut)


def _between(events: Sequence[StoredEvent], after: int, upto: int) -> Iterator[StoredEvent]:
    begin = bisect_right(events, after, key=_position)
    end = bisect_right(events, upto, key=_position)
    return (events[index] for index in range(begin, end))


def _position(stored: StoredEvent) -> int:
    return stored.position
