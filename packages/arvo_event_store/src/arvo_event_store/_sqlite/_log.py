"""The log inside a transaction of the writer."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from arvo_event_store._append import Append, Appended
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store.stores import (
    Page,
    PageRange,
    Place,
    ReadRange,
    append_requests,
    check_snapshot_of,
    check_streams,
    log_range,
    page_ranges,
    snapshot_row,
    stream_range,
)
from arvo_time import Clock

from . import _append, _reads


class SqliteLog:
    """The log inside the transaction of `SqliteEventStore.write`, where nothing is awaited.

    It sees what the transaction did before, and does what the store does by the same names.
    It is used by the work that it was given to, and refuses calls once that has ended.

    Args:
        connection: Returns the connection of the transaction, or raises once the work has ended.
        max_payload_bytes: See `SqliteEventStore`.
        clock: See `SqliteEventStore`.
    """

    def __init__(
        self,
        *,
        connection: Callable[[], sqlite3.Connection],
        max_payload_bytes: int,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._max_payload_bytes = max_payload_bytes
        self._clock = clock

    def read(
        self,
        stream: str,
        *,
        after: int = -1,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Read events of a stream; see `IStreamAccess.read`."""
        asked = stream_range(stream, after=after, upto=upto, backward=backward, limit=limit)
        return _events(
            asked,
            by="version",
            fetch=lambda page: _reads.stream_page(self._connection(), stream, page),
        )

    def read_all(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        where: Query | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Read events of all streams; see `IEventLog.read_all`."""
        asked = log_range(where, after=after, upto=upto, backward=backward, limit=limit)
        return _events(
            asked,
            by="position",
            fetch=lambda page: _reads.log_page(self._connection(), where, page),
        )

    def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """Return where streams stand; see `IEventLog.heads`."""
        return _reads.heads(self._connection(), check_streams(streams))

    def horizon(self) -> int:
        """Return the last position; see `IEventLog.horizon`."""
        return _reads.horizon(self._connection())

    def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        """Append events to a stream; see `IStreamAccess.append`.

        A refusal changes nothing, so the work may go on after it.
        """
        (appended,) = self.append_all([Append(stream, events, expect=expect)])
        return appended

    def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        """Append to several streams, all or nothing; see `IEventLog.append_all`."""
        requests = append_requests(appends, max_payload_bytes=self._max_payload_bytes)
        return _append.append(self._connection(), requests, now=self._clock.now())

    def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """Return the snapshot with the highest version; see `IStreamAccess.latest_snapshot`."""
        check_snapshot_of(stream, kind=kind, upto=upto)
        return _reads.latest_snapshot(self._connection(), stream, kind=kind, upto=upto)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot; see `IStreamAccess.save_snapshot`."""
        row = snapshot_row(snapshot, max_payload_bytes=self._max_payload_bytes)
        _append.save_snapshot(self._connection(), row, now=self._clock.now())


def _events(asked: ReadRange, *, by: Place, fetch: Callable[[PageRange], Page]) -> Iterator[Event]:
    ranges = page_ranges(asked, by=by)
    wanted = next(ranges, None)
    while wanted is not None:
        page = fetch(wanted)
        yield from page.events
        try:
            wanted = ranges.send(page)
        except StopIteration:
            return
