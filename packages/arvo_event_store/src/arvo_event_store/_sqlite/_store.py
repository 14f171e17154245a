"""The store in a SQLite file."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from datetime import timedelta
from typing import Any, ClassVar, Final, Self, TypeVar

from arvo_event_store._errors import SchemaError
from arvo_event_store.stores import MAX_PAYLOAD_BYTES, store_failure
from arvo_sqlite import Component, NewerSchemaError, OlderSchemaError, SqliteClient, Synchronous
from arvo_time import SYSTEM_CLOCK, BackendError, Clock
from arvo_time.settings import check_clock, check_count

from ._file import StoreFile
from ._file_leases import FileLeases
from ._file_log import FileLog
from ._file_operators import FileOperators
from ._file_scans import FileScans
from ._file_stream_admin import FileStreamAdmin
from ._file_wake_ups import FileWakeUps
from ._schema import EVENT_STORE
from ._transaction import in_savepoint, kept
from ._work import SqliteWork

T = TypeVar("T")

BUSY_TIMEOUT: Final = timedelta(seconds=30)
"""How long to wait while another process writes."""


class SqliteEventStore(FileLog, FileStreamAdmin, FileScans, FileLeases, FileOperators, FileWakeUps):
    """An event store in a SQLite file: durable, for any number of processes of one machine.

    Acknowledged appends survive when the process is killed, at any time. Get one from `connect`. It
    belongs to the event loop it was opened on. Do not fork while one is open.

    Args:
        client: Stays open when the store is closed, and may have other users. It must be connected
            with `SqliteEventStore.component`.
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each,
            and the state of a snapshot.
        clock: When events are stored, how long leases are, and by which to wait for changes.

    Raises:
        TypeError: `max_payload_bytes` is not an int, `client` is not a `SqliteClient`, or `clock` is
            not a `Clock`.
        ValueError: `max_payload_bytes` is below 1.
        SchemaError: The client was connected without the tables of the event store.
    """

    component: ClassVar[Component] = EVENT_STORE
    """The tables, for a client that is passed in."""

    def __init__(
        self,
        client: SqliteClient | None = None,
        *,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(client, SqliteClient):
            raise TypeError(
                "client must be a SqliteClient; to open a file, write "
                "`async with SqliteEventStore.connect(path) as store:`"
            )
        check_count(max_payload_bytes, name="max_payload_bytes", least=1)
        check_clock(clock)
        if self.component not in client.components:
            raise SchemaError(
                f"{client.path}: the client was connected without the tables of the event store; "
                "add `SqliteEventStore.component` to its components"
            )
        super().__init__(StoreFile(client, max_payload_bytes=max_payload_bytes, clock=clock))
        self._own_client: SqliteClient | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        read_only: bool = False,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a file for as long as the block lasts.

        It is created if it does not exist, and an older one is brought up to date. It may hold a
        machine memory too.

        Args:
            path: The file, on a local disk, in a folder that exists. A new one is private to its
                user (mode 0600). `:memory:` is a store in this process, gone after the block.
            synchronous: With "full", acknowledged appends survive a power cut. With "normal", they
                survive a killed process; a power cut may lose the last moments, never more.
            read_only: Refuse what writes, for tools that only look. The file must exist and be up to
                date. SQLite may leave a `-wal` and a `-shm` beside it.
            max_payload_bytes: See the class.
            clock: See the class.

        Raises:
            TypeError: `max_payload_bytes` is not an int, `read_only` not a bool, or `clock` is not a
                `Clock`.
            ValueError: `path` is empty, `synchronous` is neither "full" nor "normal",
                `max_payload_bytes` is below 1, or `:memory:` is to be read only.
            SchemaError: The file was made by a newer version; read-only, it has no event store, or
                an older one.
            StoreFailure: The file cannot be opened or written, or is a database of another program.

        Example:
            >>> async def main() -> None:
            ...     async with SqliteEventStore.connect(":memory:") as store:
            ...         await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
            ...         print([event.data async for event in store.read("counter-a")])
            >>> asyncio.run(main())
            [{'amount': 7}]
        """
        # A wrong value is refused before a file is created.
        check_count(max_payload_bytes, name="max_payload_bytes", least=1)
        async with AsyncExitStack() as stack:
            connecting = SqliteClient.connect(
                path,
                components=[cls.component],
                synchronous=synchronous,
                busy_timeout=BUSY_TIMEOUT,
                read_only=read_only,
                label="store",
                clock=clock,
            )
            try:
                client = await stack.enter_async_context(connecting)
            except OlderSchemaError as error:
                remedy = "run `arvo store migrate`, or open it once without `read_only`"
                raise SchemaError(f"{error}; {remedy}") from error.__cause__
            except NewerSchemaError as error:
                raise SchemaError(str(error)) from error.__cause__
            except BackendError as error:
                raise store_failure(error) from error.__cause__
            store = cls(client, max_payload_bytes=max_payload_bytes, clock=clock)
            store._own_client = client
            stack.push_async_callback(store.aclose)
            yield store

    async def aclose(self) -> None:
        """Refuse all calls from now on, and close the file if `connect` opened it. Idempotent.

        Appends that were begun are stored before the file is closed.
        """
        self._file.close()
        if self._own_client is not None:
            await self._own_client.aclose()

    # --- SQL of the user ----------------------------------------------------

    async def write(self, work: SqliteWork[T]) -> T:
        """Run work in a transaction of the thread that writes, all or nothing.

        The transaction may be shared with other calls, and may have to be done again: `work` may run
        more than once, and only what its last run did is stored. So it must change nothing but
        through its arguments, take little time, and not begin or end a transaction.

        Args:
            work: A plain function. It is given the connection, for tables of your own, and the log.
                Both are its own only until it returns.

        Returns:
            What `work` returned, once it is stored.

        Raises:
            TypeError: `work` is not a plain function.
            StoreFailure: SQLite failed or refused a statement, `work` tried to end the transaction,
                or the store is closed. Nothing was stored if its outcome is "failed".
            BaseException: What `work` raised, unchanged. Nothing was stored.

        Example:
            >>> def count(connection: sqlite3.Connection, log: SqliteLog) -> int | None:
            ...     connection.execute("INSERT INTO ordered VALUES (?)", ("tea",))
            ...     return log.append("order-7", [NewEvent("Ordered", {"of": "tea"})]).version
            >>> async def main() -> None:
            ...     async with SqliteEventStore.connect(":memory:") as store:
            ...         await store.execute("CREATE TABLE ordered (what TEXT)")
            ...         print(await store.write(count))
            ...         print(await store.fetch("SELECT * FROM ordered"))
            >>> asyncio.run(main())
            0
            [('tea',)]
        """
        if not callable(work):
            raise TypeError(f"work must be a plain function, got {work!r}")

        context = copy_context()  # the thread that writes has none, and events carry their trace
        return await self._file.write_telling(
            "WRITE",
            lambda connection: in_savepoint(
                connection,
                lambda transaction: context.run(self._file.runner.run, transaction, work),
            ),
        )

    async def execute(self, sql: str, *parameters: object) -> int:
        """Run one statement on tables of your own.

        Args:
            sql: The statement, with `?` for each parameter.
            parameters: Values that SQLite can store.

        Returns:
            How many rows it inserted, updated or deleted.

        Raises:
            TypeError: `sql` is not a string.
            StoreFailure: SQLite failed or refused the statement, or the store is closed. Nothing was
                stored if its outcome is "failed".
        """
        _check_sql(sql)
        return await self._file.write(
            "EXECUTE", lambda connection: _executed(connection, sql, parameters)
        )

    async def fetch(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return all rows of one statement that only reads, beside the writer.

        Args:
            sql: The statement, with `?` for each parameter.
            parameters: Values that SQLite can store.

        Raises:
            TypeError: `sql` is not a string.
            StoreFailure: SQLite failed or refused the statement, such as one that writes, or the
                store is closed.
        """
        _check_sql(sql)
        return await self._file.read(
            "FETCH", lambda connection: _fetched(connection, sql, parameters)
        )


def _check_sql(sql: object) -> None:
    if not isinstance(sql, str):
        raise TypeError(f"sql must be a string, got {sql!r}")


def _executed(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> int:
    with kept(connection):
        cursor = connection.execute(sql, parameters)
        # With RETURNING, the rest is done as the rows are read.
        cursor.fetchall()
    return max(cursor.rowcount, 0)


def _fetched(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    # Without a file, the connection is the writer's.
    (before,) = connection.execute("PRAGMA query_only").fetchone()
    connection.execute("PRAGMA query_only = ON")
    try:
        with kept(connection):
            return connection.execute(sql, parameters).fetchall()
    finally:
        connection.execute(f"PRAGMA query_only = {before}")
