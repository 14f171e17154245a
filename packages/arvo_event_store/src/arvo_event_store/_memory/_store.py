"""The store in this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from arvo_event_store._append import Append, Appended
from arvo_event_store._errors import ConflictError, StoreFailure
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store._target import TargetState
from arvo_event_store.stores import (
    MAX_PAYLOAD_BYTES,
    AppendRequest,
    Page,
    PageRange,
    append_requests,
    check_name,
    check_no_work,
    check_prefix,
    check_snapshot_of,
    check_streams,
    log_range,
    missing_stream,
    read_pages,
    snapshot_row,
    stream_range,
    target_marks,
    truncation,
    without_known,
)
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_clock, check_count

from ._stream import Log, Stream, stored_page
from ._targets import Targets


class MemoryEventStore:
    """An event store in this process, gone when it ends: for tests, and to begin with.

    It is one event loop's. Its order is that of the calls, so its horizon is the last position.

    Args:
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each,
            and the state of a snapshot.
        clock: When events are stored.

    Raises:
        TypeError: `max_payload_bytes` is not an int, or `clock` is not a `Clock`.
        ValueError: `max_payload_bytes` is below 1.

    Example:
        >>> async def main() -> None:
        ...     async with MemoryEventStore() as store:
        ...         await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
        ...         print([event.data async for event in store.read("counter-a")])
        >>> asyncio.run(main())
        [{'amount': 7}]
    """

    def __init__(
        self, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        check_count(max_payload_bytes, name="max_payload_bytes", least=1)
        self._max_payload_bytes = max_payload_bytes
        self._clock = check_clock(clock)
        self._log = Log()
        self._streams: dict[str, Stream] = {}
        self._targets = Targets()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Return the store."""
        self._check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse all calls from now on. Idempotent."""
        self._closed = True

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
        # All is decided before anything changes.
        left = [without_known(each, known=self._log.known(each.events)) for each in requests]
        for request in left:
            if isinstance(request, AppendRequest):
                stream = self._streams.get(request.stream)
                request.check_head(
                    version=None if stream is None else stream.version,
                    closed=stream is not None and stream.closed is not None,
                )
        now = self._clock.now()
        return [
            each if isinstance(each, Appended) else self._stored(each, now=now) for each in left
        ]

    def _stored(self, request: AppendRequest, *, now: datetime) -> Appended:
        stream = self._streams.get(request.stream)
        if stream is None:
            stream = self._streams[request.stream] = Stream(
                request.stream, created=now, updated=now
            )
        positions = [self._log.add(stream, row, created=now) for row in request.events]
        stream.updated = now
        self._targets.raise_marks(target_marks(request, positions=positions), now=now)
        return request.stored(version=stream.version, position=positions[-1])

    # --- snapshots and targets ----------------------------------------------

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

    def targets(self, group: str, *, reaction: str | None = None) -> AsyncIterator[TargetState]:
        """See `IReactionStore.targets`."""
        check_name(group, path="group")
        if reaction is not None:
            check_name(reaction, path="reaction")
        return self._targets_of(group, reaction=reaction)

    async def _targets_of(self, group: str, *, reaction: str | None) -> AsyncIterator[TargetState]:
        self._check_open()
        for target in self._targets.of(group, reaction=reaction):
            yield target

    # --- what operators do --------------------------------------------------

    async def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        """See `IStreamAdmin.streams`."""
        self._check_open()
        check_prefix(prefix, path="prefix")
        for name in sorted(name for name in self._streams if name.startswith(prefix)):
            await self._turn()
            if name in self._streams:
                yield self._streams[name].head()

    async def close_stream(self, stream: str) -> None:
        """See `IStreamAdmin.close_stream`."""
        found = self._existing(stream)
        if found.closed is None:
            self._check_no_work(stream)
            found.closed = self._clock.now()

    async def reopen_stream(self, stream: str) -> None:
        """See `IStreamAdmin.reopen_stream`."""
        self._existing(stream).closed = None

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        """See `IStreamAdmin.truncate`."""
        self._check_open()
        asked = truncation(stream, before=before, snapshot=snapshot)
        found = self._existing(stream)
        at = min((target.at for target in self._targets.pending(stream)), default=None)
        first = asked.first_kept(
            version=found.version,
            first_version=found.first_version,
            newest_snapshot=found.newest_snapshot(),
            needed=None if at is None else found.needed(at=at),
        )
        self._log.cut(found, before=first)
        return first

    async def forget(self, stream: str) -> int:
        """See `IStreamAdmin.forget`."""
        self._check_open()
        found = self._streams.get(check_name(stream, path="stream"))
        return 0 if found is None else found.forget()

    async def delete_stream(self, stream: str) -> bool:
        """See `IStreamAdmin.delete_stream`."""
        self._check_open()
        found = self._streams.get(check_name(stream, path="stream"))
        if found is None:
            return False
        self._check_no_work(stream)
        self._log.cut(found, before=found.version + 1)
        self._targets.drop(stream)
        del self._streams[stream]
        return True

    async def record_archive(self, stream: str, *, archive: str) -> None:
        """See `IStreamAdmin.record_archive`."""
        self._check_open()
        check_name(archive, path="archive", stream=stream)
        self._existing(stream).archive = archive

    def _existing(self, stream: str) -> Stream:
        self._check_open()
        found = self._streams.get(check_name(stream, path="stream"))
        if found is None:
            raise missing_stream(stream)
        return found

    def _check_no_work(self, stream: str) -> None:
        pending = self._targets.pending(stream)
        check_no_work(stream, [(each.group, each.reaction, each.key) for each in pending])

    # --- closing ------------------------------------------------------------

    async def _turn(self) -> None:
        """Let other tasks run, as a database would."""
        self._check_open()
        await asyncio.sleep(0)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailure(
                "the store was closed; make another one", retryable=False, outcome="failed"
            )
