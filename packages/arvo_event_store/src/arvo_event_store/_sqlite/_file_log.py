"""The log in a file."""

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

from . import _append, _reads
from ._changes import State
from ._file import OnFile


class FileLog(OnFile):
    """The `IEventLog` of a file."""

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
            return await self._file.read(
                "READ", lambda connection: _reads.stream_page(connection, stream, page)
            )

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
            return await self._file.read(
                "READ_ALL", lambda connection: _reads.log_page(connection, where, page)
            )

        return read_pages(asked, by="position", fetch=fetch)

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """See `IEventLog.heads`."""
        names = check_streams(streams)
        return await self._file.read("HEADS", lambda connection: _reads.heads(connection, names))

    async def horizon(self) -> int:
        """See `IEventLog.horizon`."""
        return await self._file.read("HORIZON", _reads.horizon)

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """See `IStreamAccess.latest_snapshot`."""
        check_snapshot_of(stream, kind=kind, upto=upto)
        return await self._file.read(
            "SNAPSHOT",
            lambda connection: _reads.latest_snapshot(connection, stream, kind=kind, upto=upto),
        )

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        """See `IStreamAccess.append`."""
        (appended,) = await self.append_all([Append(stream, events, expect=expect)])
        return appended

    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        """See `IEventLog.append_all`."""
        requests = append_requests(appends, max_payload_bytes=self._file.max_payload_bytes)
        try:
            done = await self._file.write(
                "APPEND",
                lambda connection: _append.append(connection, requests, now=self._file.clock.now()),
            )
        except ConflictError:
            count_conflict()
            raise
        count_appends(done)
        stored = [each.position or 0 for each in done if each.count and not each.duplicate]
        if stored:
            self._file.changes.tell_own(State(horizon=max(stored)))
        return done

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `IStreamAccess.save_snapshot`."""
        row = snapshot_row(snapshot, max_payload_bytes=self._file.max_payload_bytes)
        await self._file.write(
            "SNAPSHOT",
            lambda connection: _append.save_snapshot(connection, row, now=self._file.clock.now()),
        )
