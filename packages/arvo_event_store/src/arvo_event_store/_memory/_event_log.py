"""The log in memory."""

from collections.abc import AsyncIterator, Sequence

from arvo_event_store._append import Append, Appended
from arvo_event_store._errors import ConflictError
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store._telemetry import count_appends, count_conflict
from arvo_event_store.stores import (
    Page,
    PageRange,
    append_requests,
    check_snapshot_of,
    check_streams,
    log_range,
    read_pages,
    snapshot_row,
    stream_range,
)

from ._contents import InMemory
from ._stream import stored_page


class MemoryLog(InMemory):
    """The `IEventLog` in memory."""

    # --- reading ------------------------------------------------------------

    def read(
        self,
        stream: str,
        *,
        after: int = -1,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """See `IStreamAccess.read`."""
        asked = stream_range(stream, after=after, upto=upto, backward=backward, limit=limit)

        async def fetch(page: PageRange) -> Page:
            await self._turn()
            found = self._streams.get(stream)
            if found is None:
                return Page((), None)
            return stored_page(found.page(page), page, end=found.version)

        return read_pages(asked, by="version", fetch=fetch)

    def read_all(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        where: Query | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """See `IEventLog.read_all`."""
        asked = log_range(where, after=after, upto=upto, backward=backward, limit=limit)

        async def fetch(page: PageRange) -> Page:
            await self._turn()
            return stored_page(self._log.page(page, where), page, end=self._log.last)

        return read_pages(asked, by="position", fetch=fetch)

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """See `IEventLog.heads`."""
        self._check_open()
        found = (self._streams.get(name) for name in check_streams(streams))
        return {stream.name: stream.head() for stream in found if stream is not None}

    async def horizon(self) -> int:
        """See `IEventLog.horizon`."""
        self._check_open()
        return self._log.last

    # --- appending ----------------------------------------------------------

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        """See `IStreamAccess.append`."""
        (appended,) = await self.append_all([Append(stream, events, expect=expect)])
        return appended

    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        """See `IEventLog.append_all`."""
        self._check_open()
        requests = append_requests(appends, max_payload_bytes=self._max_payload_bytes)
        try:
            decided = self._decided(requests)
        except ConflictError:
            count_conflict()
            raise
        answers = self._write(decided, now=self._clock.now())
        count_appends(answers)
        return answers

    # --- snapshots ----------------------------------------------------------

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """See `IStreamAccess.latest_snapshot`."""
        self._check_open()
        check_snapshot_of(stream, kind=kind, upto=upto)
        found = self._streams.get(stream)
        return None if found is None else found.snapshot(kind, upto=upto)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `IStreamAccess.save_snapshot`."""
        self._check_open()
        row = snapshot_row(snapshot, max_payload_bytes=self._max_payload_bytes)
        stream = self._streams.get(row.stream)
        if stream is None or stream.version < row.version:
            actual = None if stream is None else stream.version
            raise ConflictError(row.stream, expected=row.version, actual=actual)
        stream.snapshots.setdefault(row.kind, {})[row.version] = row
