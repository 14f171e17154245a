"""The event store on PostgreSQL."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Self

import asyncpg

from arvo_event_store._stream import StreamHead
from arvo_event_store.stores import MAX_PAYLOAD_BYTES, PAGE_EVENTS, check_prefix
from arvo_postgres import Connections, OpenTransaction
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_count, check_duration, check_flag

from ._failures import store_errors
from ._notifications import Notifications
from ._reactions import PostgresReactions
from ._read_sql import STREAMS, head_of
from ._sessions import PooledSession, Schema
from ._stream_admin import StreamAdmin
from ._tables import Tables
from ._transaction import JoinedLog, PostgresTransaction

_TEN_SECONDS: Final = timedelta(seconds=10)
_THIRTY_SECONDS: Final = timedelta(seconds=30)
_DAY: Final = timedelta(days=1)

# All statements are written for generic plans, which are not made again for each call. They are short, and
# compiling one takes longer than running it.
_SETTINGS: Final = {"plan_cache_mode": "force_generic_plan", "jit": "off"}


class PostgresEventStore(PostgresReactions):
    """An event store in PostgreSQL, shared by any number of processes.

    An append is one statement, whatever it stores: it is there as a whole or not at all, and takes one
    round trip. If a connection is lost, it is sent again on another one, and finds what it did before.
    Times are those of the database.

    Every call but the constructor raises `StoreFailure` when the database fails; `outcome` says whether
    something may have been stored. The first call checks the tables: see `migrate`.

    Processes tell each other of changes by NOTIFY, at most once in 5 ms, after the commit and on a
    connection of its own, which is opened with the first change. Another one listens, from the first
    call of `wait_for_change`.

    Args:
        client: Your own client, which stays open when the store is closed: a pool of asyncpg, or
            `Connections` of arvo_postgres. The pool that `connect` makes is faster: it sends no reset
            query when a connection is given back, and has the settings for which the statements are
            written.
        schema: The schema of the tables.
        prefix: How the names of the tables begin; stores in one schema need different ones.
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each,
            and the state of a snapshot. It should be the same in all processes.
        pool_timeout: How long to wait for a connection of a pool; above 0, at most a day.
            `Connections` have a timeout of their own.
        statement_timeout: How long one statement may take; above 0, at most a day.
        listen: Whether processes tell each other of changes. With a pool of asyncpg they do not, as it
            does not say where to connect to: `wait_for_change` tells of changes of this store only.
        clock: For the pauses between tries, and for waiting.

    Raises:
        TypeError: A duration is not a timedelta, `max_payload_bytes` is not an int, `listen` is not a
            bool, or `clock` is not a `Clock`.
        ValueError: PostgreSQL does not allow such a name, a timeout is not above 0 or is above a day,
            or `max_payload_bytes` is below 1.

    Example:
        ```python
        async with PostgresEventStore.connect("postgresql://user@host/database") as store:
            await store.migrate()
            await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
            print([event.data async for event in store.read("counter-a")])
        ```
    """

    def __init__(
        self,
        client: asyncpg.Pool | Connections,
        *,
        schema: str = "arvo",
        prefix: str = "",
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        pool_timeout: timedelta = _TEN_SECONDS,
        statement_timeout: timedelta = _THIRTY_SECONDS,
        listen: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_flag(listen, name="listen")
        check_count(max_payload_bytes, name="max_payload_bytes", least=1)
        tables = Tables(schema=schema, prefix=prefix)
        self._schema = Schema(tables)
        self._connections = (
            client
            if isinstance(client, Connections)
            else Connections(client, pool_timeout=pool_timeout, clock=clock)
        )
        self._own_client: Connections | None = None
        self._statement_timeout = statement_timeout
        session = PooledSession(
            self._connections,
            tables=tables,
            schema=self._schema,
            statement_timeout=statement_timeout,
            clock=clock,
        )
        super().__init__(
            session,
            tables=tables,
            max_payload_bytes=max_payload_bytes,
            notifications=Notifications(
                self._connections, tables=tables, clock=clock, listen=listen
            ),
        )
        self._admin = StreamAdmin(session, tables=tables)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        dsn: str,
        *,
        schema: str = "arvo",
        prefix: str = "",
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        pool_size: int = 10,
        pool_timeout: timedelta = _TEN_SECONDS,
        statement_timeout: timedelta = _THIRTY_SECONDS,
        statement_cache_size: int = 100,
        listen: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a store with a pool of its own for as long as the block lasts.

        Args:
            dsn: Such as `postgresql://user:password@host/database`, of a primary.
            schema: See the class.
            prefix: See the class.
            max_payload_bytes: See the class.
            pool_size: How many connections at most, 1 to 10,000. Each is held for one statement at a
                time, so a few serve many tasks.
            pool_timeout: See the class.
            statement_timeout: See the class.
            statement_cache_size: How many prepared statements a connection keeps. Use 0 for a
                PgBouncer that pools transactions and does not support prepared statements; the
                connections then have no settings of their own either. It does not pass on
                notifications, so use `listen=False` with it.
            listen: See the class.
            clock: See the class.

        Raises:
            StoreFailure: The database cannot be reached.
            TypeError: A duration is not a timedelta, a number is not an int, `listen` is not a bool,
                or `clock` is not a `Clock`.
            ValueError: The DSN is not valid, PostgreSQL does not allow such a name, a timeout is not
                above 0 or is above a day, `pool_size` is not within 1 and 10,000,
                `statement_cache_size` is below 0, or `max_payload_bytes` is below 1.
        """
        # Wrong values are refused before anything is connected.
        Tables(schema=schema, prefix=prefix)
        check_duration(statement_timeout, name="statement_timeout", above_zero=True, most=_DAY)
        check_count(max_payload_bytes, name="max_payload_bytes", least=1)
        check_flag(listen, name="listen")
        connecting = Connections.connect(
            dsn,
            pool_size=pool_size,
            pool_timeout=pool_timeout,
            statement_cache_size=statement_cache_size,
            server_settings=_SETTINGS if statement_cache_size else {},
            clock=clock,
        )
        async with AsyncExitStack() as stack:
            with store_errors():
                client = await stack.enter_async_context(connecting)
            store = cls(
                client,
                schema=schema,
                prefix=prefix,
                max_payload_bytes=max_payload_bytes,
                statement_timeout=statement_timeout,
                listen=listen,
                clock=clock,
            )
            store._own_client = client
            stack.push_async_callback(store.aclose)
            yield store

    async def aclose(self) -> None:
        """Refuse further calls, and close the pool if `connect` opened it. Idempotent."""
        self._session.close()
        await self._notifications.aclose()
        if self._own_client is not None:
            await self._own_client.aclose()

    async def migrate(self, *, dry_run: bool = False) -> str:
        """Create the tables, or bring them up to date; several processes may do so concurrently.

        Args:
            dry_run: Only return the SQL, and change nothing.

        Returns:
            The SQL that was run, or would be; empty if the tables are up to date.

        Raises:
            SchemaError: The tables are newer than this package.
            StoreFailure: The database failed, or the store is closed.
        """
        with store_errors():
            self._session.check_open("MIGRATE")
            return await self._schema.migrations.run(self._connections, dry_run=dry_run)

    # --- transactions -------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Begin a transaction, and commit it at the end of the block; an exception undoes it.

        Do not wait for anything slow in the block: see `PostgresTransaction`.

        Raises:
            SchemaError: The tables are missing, older or newer.
            StoreFailure: It could not begin, or not be committed, or the store is closed. The outcome
                is "unknown" if the connection was lost during the commit.
        """
        with store_errors():
            await self._session.ready("TRANSACTION")
            async with self._session.transaction("TRANSACTION") as transaction:
                log = self._joined_log(transaction)
                yield log
        if log.last is not None:
            self._notifications.tell(log.last)

    def join(self, connection: Any) -> PostgresTransaction:
        """Return a log inside the open transaction of a connection, which you commit yourself.

        Args:
            connection: A connection of asyncpg, to the database of the tables.

        Raises:
            ValueError: It has no open transaction.
        """
        if not connection.is_in_transaction():
            raise ValueError(
                "the connection has no open transaction; use `async with connection.transaction():`"
            )
        return self._joined_log(
            OpenTransaction(
                connection, table=self._tables.event, statement_timeout=self._statement_timeout
            )
        )

    def _joined_log(self, transaction: OpenTransaction) -> JoinedLog:
        return JoinedLog(
            transaction,
            tables=self._tables,
            schema=self._schema,
            max_payload_bytes=self._max_payload_bytes,
        )

    # --- streams ------------------------------------------------------------

    def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        """See `IStreamAdmin.streams`."""
        check_prefix(prefix, path="prefix")
        return self._streams(prefix)

    async def _streams(self, prefix: str) -> AsyncGenerator[StreamHead, None]:
        last = ""
        while True:
            rows = await self._ask("STREAMS", STREAMS, last, prefix)
            for row in rows:
                yield head_of(row)
            if len(rows) < PAGE_EVENTS:
                return
            last = rows[-1]["name"]

    async def close_stream(self, stream: str) -> None:
        """See `IStreamAdmin.close_stream`."""
        await self._admin.close_stream(stream)

    async def reopen_stream(self, stream: str) -> None:
        """See `IStreamAdmin.reopen_stream`."""
        await self._admin.reopen_stream(stream)

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        """See `IStreamAdmin.truncate`."""
        return await self._admin.truncate(stream, before=before, snapshot=snapshot)

    async def forget(self, stream: str) -> int:
        """See `IStreamAdmin.forget`."""
        return await self._admin.forget(stream)

    async def delete_stream(self, stream: str) -> bool:
        """See `IStreamAdmin.delete_stream`."""
        return await self._admin.delete_stream(stream)

    async def record_archive(self, stream: str, *, archive: str) -> None:
        """See `IStreamAdmin.record_archive`."""
        await self._admin.record_archive(stream, archive=archive)
