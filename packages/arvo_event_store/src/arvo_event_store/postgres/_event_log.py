"""A log on PostgreSQL, wherever its statements run."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from arvo_event_store._append import Append, Appended
from arvo_event_store._errors import ConflictError, NotSupportedError
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store._telemetry import count_appends, count_conflict
from arvo_event_store.stores import (
    MAX_POSITION,
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

from ._appending import Appending, Session
from ._failures import store_errors
from ._read_sql import (
    HEADS,
    HORIZON,
    LATEST_SNAPSHOT,
    SAVE_SNAPSHOT,
    PageQuestion,
    head_of,
    snapshot_of,
)
from ._tables import Tables


class PostgresEventLog:
    """What a store and a transaction have in common.

    Args:
        session: Runs statements.
        tables: The tables.
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each.
        joined: Whether the session is a transaction.
    """

    def __init__(
        self, session: Session, *, tables: Tables, max_payload_bytes: int, joined: bool
    ) -> None:
        self._log_session = session
        self._tables = tables
        self._max_payload_bytes = max_payload_bytes
        self._joined = joined
        self._appending = Appending(session, tables=tables, joined=joined)
        self._horizon_sql = tables.sql(HORIZON)

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
            question = PageQuestion.of_stream(stream, page)
            rows = await self._ask("READ", question.sql, *question.values)
            return question.page(rows, page, end=rows[0]["head"] if rows else None)

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
            horizon = None
            if page.is_first:
                horizon = await self.horizon()
                upto = horizon if page.upto is None else min(page.upto, horizon)
                if upto <= page.after:
                    return Page((), horizon)
                page = page._replace(upto=upto)
            question = PageQuestion.of_log(page, where)
            rows = await self._ask("READ_ALL", question.sql, *question.values)
            return question.page(rows, page, end=horizon)

        return read_pages(asked, by="position", fetch=fetch)

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """See `IEventLog.heads`."""
        names = check_streams(streams)
        rows = await self._ask("HEADS", HEADS, names)
        return {row["name"]: head_of(row) for row in rows}

    async def horizon(self) -> int:
        """See `IEventLog.horizon`.

        Raises:
            NotSupportedError: This is a replica, or the transaction sees the log as it was when it
                began; both would pass events that appear later.
        """
        with store_errors():
            row = (await self._log_session.run("HORIZON", self._horizon_sql)).row
        if row["is_replica"]:
            raise NotSupportedError(
                "a replica does not know what is being appended; read the log from the primary"
            )
        if self._joined and row["isolation"] != "read committed":
            raise NotSupportedError(
                f"a transaction that is {row['isolation']} does not see what was committed since it "
                "began; read the log in one that is read committed"
            )
        found: int = row["horizon"]
        return found

    # --- appending ----------------------------------------------------------

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        """See `IStreamAccess.append`."""
        (appended,) = await self.append_all([Append(stream, events, expect=expect)])
        return appended

    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        """See `IEventLog.append_all`."""
        requests = append_requests(appends, max_payload_bytes=self._max_payload_bytes)
        try:
            with store_errors():
                answers = await self._appending.store(requests)
        except ConflictError:
            if not self._joined:
                count_conflict()
            raise
        if not self._joined:
            count_appends(answers)
        self._appended(answers)
        return answers

    # --- snapshots ----------------------------------------------------------

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """See `IStreamAccess.latest_snapshot`."""
        check_snapshot_of(stream, kind=kind, upto=upto)
        bound = MAX_POSITION if upto is None else upto
        rows = await self._ask("SNAPSHOT", LATEST_SNAPSHOT, stream, kind, bound)
        return snapshot_of(rows[0]) if rows else None

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `IStreamAccess.save_snapshot`."""
        row = snapshot_row(snapshot, max_payload_bytes=self._max_payload_bytes)
        if await self._ask("SNAPSHOT", SAVE_SNAPSHOT, *row):
            return
        head = (await self.heads([row.stream])).get(row.stream)
        actual = None if head is None else head.version
        raise ConflictError(row.stream, expected=row.version, actual=actual)

    # --- inside -------------------------------------------------------------

    def _appended(self, answers: Sequence[Appended]) -> None:
        """Called with the answers of each append."""

    async def _ask(self, operation: str, sql: str, *args: object) -> list[Any]:
        with store_errors():
            return (await self._log_session.run(operation, self._tables.sql(sql), *args)).rows
