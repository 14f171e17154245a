"""The log of a toy store."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from arvo_event_store import (
    PER_EVENT,
    PER_STREAM,
    Append,
    Appended,
    ConflictError,
    Event,
    Expect,
    NewEvent,
    Query,
    Snapshot,
    StoreFailure,
    StreamHead,
)
from arvo_event_store.stores import (
    MAX_PAYLOAD_BYTES,
    MAX_POSITION,
    AppendRequest,
    KnownEvent,
    Mark,
    Page,
    PageRange,
    append_requests,
    check_name,
    check_no_work,
    check_prefix,
    check_streams,
    count_appends,
    count_conflict,
    from_json,
    log_range,
    missing_stream,
    page_rows,
    read_pages,
    snapshot_row,
    stream_range,
    target_marks,
    truncation,
    without_known,
)
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_count, check_instance

from .tables import Database, Row


class ToyLog:
    """The log of the toy, and its streams."""

    def __init__(self, database: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock
        self._is_open = True

    async def aclose(self) -> None:
        self._is_open = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["ToyLog"]:
        """Work on a copy of the tables, which takes their place at the commit."""
        copied = copy.deepcopy(self._database)
        yield ToyLog(copied, self._clock)
        vars(self._database).update(vars(copied))

    async def _tables(self) -> Database:
        await asyncio.sleep(0)  # as a real one would wait for its server
        if not self._is_open:
            raise StoreFailure("the store was closed", retryable=False, outcome="failed")
        return self._database

    # --- the log ------------------------------------------------------------

    def read(
        self,
        stream: str,
        *,
        after: int = -1,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        asked = stream_range(stream, after=after, upto=upto, backward=backward, limit=limit)

        async def fetch(page: PageRange) -> Page:
            tables = await self._tables()
            rows = (row for row in tables.rows if row.stream == stream)
            head = tables.heads.get(stream)
            return _page(rows, page, by="version", end=None if head is None else head.version)

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
        wanted = Query() if where is None else check_instance(where, kind=Query, name="where")
        asked = log_range(where, after=after, upto=upto, backward=backward, limit=limit)

        async def fetch(page: PageRange) -> Page:
            tables = await self._tables()
            rows = (row for row in tables.rows if _fits(row, wanted))
            return _page(rows, page, by="position", end=tables.position)

        return read_pages(asked, by="position", fetch=fetch)

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        names = check_streams(streams)
        tables = await self._tables()
        return {name: tables.heads[name] for name in names if name in tables.heads}

    async def horizon(self) -> int:
        return (await self._tables()).position

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        (appended,) = await self.append_all([Append(stream, events, expect=expect)])
        return appended

    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        requests = append_requests(appends, max_payload_bytes=MAX_PAYLOAD_BYTES)
        tables = await self._tables()
        try:
            left = decided(tables, requests)
        except ConflictError:
            count_conflict()
            raise
        answers = stored(tables, left, now=self._clock.now())
        count_appends(answers)
        return answers

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        check_name(stream, path="stream")
        check_name(kind, path="kind", stream=stream)
        most = MAX_POSITION if upto is None else check_count(upto, name="upto", most=MAX_POSITION)
        tables = await self._tables()
        found = [
            row
            for row in tables.snapshots.values()
            if (row.stream, row.kind) == (stream, kind) and row.version <= most
        ]
        if not found:
            return None
        newest = max(found, key=lambda row: row.version)
        return Snapshot(
            stream=stream,
            kind=kind,
            version=newest.version,
            schema=newest.schema,
            state=from_json(newest.state),
        )

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        row = snapshot_row(snapshot, max_payload_bytes=MAX_PAYLOAD_BYTES)
        tables = await self._tables()
        head = tables.heads.get(row.stream)
        if head is None or head.version < row.version:
            actual = None if head is None else head.version
            raise ConflictError(row.stream, expected=row.version, actual=actual)
        tables.snapshots[row.stream, row.kind, row.version] = row

    # --- what operators do --------------------------------------------------

    async def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        check_prefix(prefix, path="prefix")
        tables = await self._tables()
        for name in sorted(tables.heads):
            if name.startswith(prefix) and name in tables.heads:
                yield tables.heads[name]

    async def close_stream(self, stream: str) -> None:
        tables, head = await self._head(stream)
        if head.closed is None:
            check_no_work(stream, _pending(tables, stream))
            tables.heads[stream] = replace(head, closed=self._clock.now())

    async def reopen_stream(self, stream: str) -> None:
        tables, head = await self._head(stream)
        tables.heads[stream] = replace(head, closed=None)

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        asked = truncation(stream, before=before, snapshot=snapshot)
        tables, head = await self._head(stream)
        waiting = [tables.targets[key].state.at for key in _pending(tables, stream)]
        needed = [
            row.version
            for row in tables.rows
            if waiting and row.stream == stream and row.position > min(waiting)
        ]
        first = asked.first_kept(
            version=head.version,
            first_version=head.first_version,
            newest_snapshot=max(
                (version for name, _, version in tables.snapshots if name == stream), default=None
            ),
            needed=min(needed, default=None),
        )
        tables.rows = [row for row in tables.rows if row.stream != stream or row.version >= first]
        tables.heads[stream] = replace(head, first_version=first)
        return first

    async def forget(self, stream: str) -> int:
        check_name(stream, path="stream")
        tables = await self._tables()
        found = [row for row in tables.rows if row.stream == stream and row.private is not None]
        for row in found:
            row.private = None
        return len(found)

    async def delete_stream(self, stream: str) -> bool:
        check_name(stream, path="stream")
        tables = await self._tables()
        check_no_work(stream, _pending(tables, stream))
        tables.rows = [row for row in tables.rows if row.stream != stream]
        tables.snapshots = {k: row for k, row in tables.snapshots.items() if k[0] != stream}
        for place in [k for k, each in tables.targets.items() if each.state.stream == stream]:
            tables.drop(place)
        return tables.heads.pop(stream, None) is not None

    async def record_archive(self, stream: str, *, archive: str) -> None:
        check_name(archive, path="archive", stream=stream)
        tables, head = await self._head(stream)
        tables.heads[stream] = replace(head, archive=archive)

    async def _head(self, stream: str) -> tuple[Database, StreamHead]:
        check_name(stream, path="stream")
        tables = await self._tables()
        if stream not in tables.heads:
            raise missing_stream(stream)
        return tables, tables.heads[stream]


def _page(rows: Iterator[Row], page: PageRange, *, by: str, end: int | None) -> Page:
    upto = MAX_POSITION if page.upto is None else page.upto
    found = [row for row in rows if page.after < getattr(row, by) <= upto]
    if page.backward:
        found.reverse()
    kept, is_cut = page_rows(found[: page.limit], max_bytes=page.max_bytes, size=Row.size)
    return Page([row.event() for row in kept], end, is_cut)


def _fits(row: Row, where: Query) -> bool:
    return (
        row.stream.startswith(where.stream_prefix)
        and (where.names is None or row.given.name in where.names)
        and where.correlation in {None, row.given.correlation}
        and (where.created_from is None or where.created_from <= row.created)
        and (where.created_before is None or row.created < where.created_before)
    )


def _pending(tables: Database, stream: str) -> list[tuple[str, str, str]]:
    return sorted(
        key for key, each in tables.targets.items() if each.state.stream == stream and each.has_work
    )


def decided(
    tables: Database, requests: Sequence[AppendRequest]
) -> Sequence[AppendRequest | Appended]:
    """Refuse what cannot be stored before anything changes, and answer what is stored already."""
    ids = {row.id for request in requests for row in request.events}
    known = {
        row.given.id: KnownEvent(
            row.stream, row.version, row.position, row.given.name, row.given.data
        )
        for row in tables.rows
        if row.given.id in ids
    }
    left = [without_known(request, known=known) for request in requests]
    for request in left:
        if isinstance(request, AppendRequest):
            head = tables.heads.get(request.stream)
            request.check_head(
                version=None if head is None else head.version,
                closed=head is not None and head.closed is not None,
            )
    return left


def stored(
    tables: Database, left: Sequence[AppendRequest | Appended], *, now: datetime
) -> list[Appended]:
    """Store what was decided."""
    return [each if isinstance(each, Appended) else _store(tables, each, now) for each in left]


def _store(tables: Database, request: AppendRequest, now: datetime) -> Appended:
    head = tables.heads.get(request.stream)
    version = -1 if head is None else head.version
    for given in request.events:
        version += 1
        tables.position += 1
        tables.rows.append(Row(tables.position, request.stream, version, given, given.private, now))
    if head is None:
        head = StreamHead(
            stream=request.stream,
            version=version,
            first_version=0,
            closed=None,
            archive=None,
            created=now,
            updated=now,
        )
    tables.heads[request.stream] = replace(head, version=version, updated=now)
    positions = range(tables.position - len(request.events) + 1, tables.position + 1)
    for mark in target_marks(request, positions=positions):
        tables.raise_mark(
            Mark(
                reaction=mark.reaction,
                key=mark.key,
                lane=mark.lane,
                reads=PER_EVENT if mark.once else PER_STREAM,
                stream=mark.stream,
                at=mark.at,
                mark=mark.mark,
            ),
            group=mark.group,
            due=mark.due,
            now=now,
        )
    return request.stored(version=version, position=tables.position)
