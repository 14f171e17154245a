"""The client: one file, one thread that writes, several threads that read."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final, Self, TypeVar

from arvo_time import SYSTEM_CLOCK, BackendError, Clock, ClosedError
from arvo_time.cancellation import take_or_give_back
from arvo_time.settings import check_clock, check_duration, check_flag
from arvo_time.telemetry import client_span, tracing_enabled

from ._database import IN_MEMORY, Database, Synchronous
from ._failure import primary_code
from ._readers import Query, Readers
from ._schema import Component
from ._writer import AfterGroup, Operation, Writer

T = TypeVar("T")

_BUSY_TIMEOUT: Final = timedelta(seconds=30)
_BETWEEN_TRIES: Final = timedelta(milliseconds=20)


class SqliteClient:
    """A SQLite file for any number of tasks of one event loop, and of processes of one machine.

    Get one from `connect`. It belongs to the event loop it was opened on. Do not fork while one is
    open.

    Args:
        database: The file.
        connection: What `database.open_writer` returned; the client closes it. None if the database
            is opened read-only.
        label: What is opened, such as "memory", for errors.
    """

    def __init__(
        self, database: Database, *, connection: sqlite3.Connection | None, label: str
    ) -> None:
        self._path = database.path
        self._components = database.components
        self._label = label
        self._is_still = database.is_still
        self._writer = None if connection is None else Writer(database, connection, label=label)
        # Without a file, the one connection is the writer's.
        self._in_memory = database.in_memory
        self._readers = Readers(database)
        self._loop = asyncio.get_running_loop()
        self._attributes = {
            "db.system.name": "sqlite",
            "db.namespace": os.path.basename(database.path),
        }
        self._before_close: dict[object, Callable[[], Awaitable[None]]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        path: str | os.PathLike[str],
        *,
        components: Sequence[Component],
        synchronous: Synchronous = "full",
        busy_timeout: timedelta = _BUSY_TIMEOUT,
        read_only: bool = False,
        label: str = "database",
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a file for as long as the block lasts, and create it if it does not exist.

        Args:
            path: The file, on a local disk, in a folder that exists. A new one is private to its
                user (mode 0600). `:memory:` is a database in this process, gone after the block.
            components: What the file must hold; older ones are migrated. It may hold others too.
            synchronous: With "full", acknowledged writes survive a power cut. With "normal", they
                survive a killed process; a power cut may lose the last moments, never more.
            busy_timeout: How long to wait while another process writes.
            read_only: Refuse what writes, and leave the file as it is, which must exist and be up to
                date. SQLite may leave a `-wal` and a `-shm` beside it.
            label: What is opened, such as "memory", for errors.
            clock: For the pauses while another process creates the file.

        Raises:
            TypeError: `busy_timeout` is not a timedelta, `read_only` not a bool, or `clock` is not a
                `Clock`.
            ValueError: `path` is empty, `synchronous` is neither "full" nor "normal", two
                components have the same name, `busy_timeout` is negative, or `:memory:` is to be
                read only.
            BackendError: The file cannot be opened or written, or is a database of another program.
            NewerSchemaError: A component of the file is newer than this program.
            OlderSchemaError: The file is opened read-only and lacks a component, or has an older one.
        """
        if synchronous not in {"full", "normal"}:
            raise ValueError(f"synchronous must be 'full' or 'normal', got {synchronous!r}")
        names = [component.name for component in components]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"component names must be unique, got twice: {', '.join(map(repr, twice))}"
            )
        check_duration(busy_timeout, name="busy_timeout")
        check_flag(read_only, name="read_only")
        check_clock(clock, name="clock")
        name = os.fspath(path)
        if not name:
            raise ValueError(
                f"path must not be empty; for a {label} without a file, write ':memory:'"
            )
        if name == IN_MEMORY and read_only:
            raise ValueError("read_only needs a file: without one there is nothing to read")
        if name != IN_MEMORY:
            name = os.path.abspath(name)  # noqa: ASYNC240 - looks at no file
        database = Database(
            path=name,
            components=tuple(components),
            synchronous=synchronous,
            busy_timeout=busy_timeout,
            read_only=read_only,
        )
        connection = None
        if read_only:
            database = await asyncio.to_thread(database.opened_read_only)
        else:
            connection = await _open_writer(database, clock=clock)
        client = cls(database, connection=connection, label=label)
        try:
            yield client
        finally:
            await client.aclose()

    @property
    def path(self) -> str:
        """The file, as a full path, or `:memory:`."""
        return self._path

    @property
    def components(self) -> Sequence[Component]:
        """What it was connected with; the file holds these in their current versions."""
        return self._components

    @property
    def is_still(self) -> bool:
        """Whether the file is read as if nobody could write it, because its folder cannot be written.

        Reading fails as soon as somebody does write.
        """
        return self._is_still

    def write(
        self, operation: Operation[T], *, name: str, collection: str, durable: bool = True
    ) -> Awaitable[T]:
        """Start an operation, in a transaction that it may share with others; it runs to its end.

        Args:
            operation: What to do; see `Operation`.
            name: The name of the operation in spans.
            collection: The table that it works on, for spans.
            durable: Whether it must survive a power cut, if `synchronous` is "full".

        Returns:
            An awaitable of the operation's result, available once the transaction is committed.
            It raises a `BackendError` if SQLite failed.

        Raises:
            BackendError: The client is closed, is read-only, or belongs to another event loop.
        """
        self._check_usable()
        if self._writer is None:
            raise BackendError(
                f"{self._path}: the {self._label} was opened read-only; {name} needs one that is not",
                retryable=False,
                outcome="failed",
            )
        result = self._writer.submit(operation, durable=durable)
        # An additional coroutine would be noticeable where many tasks share one flush.
        return self._in_span(result, name, collection) if tracing_enabled() else result

    def read(self, query: Query[T], *, name: str | None, collection: str) -> Awaitable[T]:
        """Run a query on a connection that cannot write, beside the writer.

        Args:
            query: What to do; see `Query`.
            name: The name of the query in spans; None makes none, for what is asked many times a
                second.
            collection: The table that it reads, for spans.

        Returns:
            An awaitable of the query's result. It raises a `BackendError` if SQLite failed.

        Raises:
            BackendError: The client is closed, or belongs to another event loop.
        """
        self._check_usable()
        result: Awaitable[T]
        if self._in_memory and self._writer is not None:
            result = self._writer.submit(query, durable=False)
        else:
            result = self._readers.ask(query)
        if name is None or not tracing_enabled():
            return result
        return self._in_span(result, name, collection)

    def after_writes(self, work: AfterGroup) -> Callable[[], None]:
        """Run `work` at the end of each transaction from now on.

        Args:
            work: Called in the thread that writes, with the connection and the number of operations
                in the transaction. If it raises, these operations fail.

        Returns:
            A function that removes `work`. Idempotent.
        """
        return _nothing if self._writer is None else self._writer.run_after(work)

    def before_close(self, work: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Await `work()` before the file is closed; until it ends, the client can be used.

        If it raises, the file is closed all the same, and `aclose` raises its exception.

        Returns:
            A function that removes `work`. Idempotent.
        """

        def remove() -> None:
            self._before_close.pop(key, None)

        key = object()
        self._before_close[key] = work
        return remove

    async def aclose(self) -> None:
        """Wait for the pending operations, and close the file. Idempotent.

        Calls after this raise a `BackendError`.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _in_span(self, result: Awaitable[T], name: str, collection: str) -> T:
        with client_span(
            name, scope="arvo_sqlite", attributes=self._attributes, collection=collection
        ):
            return await result

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError(f"{self._path}: the {self._label} was closed; open it again")
        # True in a forked process too, which has the client but none of its threads.
        if asyncio.get_running_loop() is not self._loop:
            raise BackendError(
                f"{self._path}: the {self._label} was opened on another event loop or before a "
                "fork; open one where it is used",
                retryable=False,
                outcome="failed",
            )

    async def _close(self) -> None:
        # Each step is taken even if one before it fails.
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._readers.aclose)
            if self._writer is not None:
                stack.push_async_callback(self._writer.aclose)
            stack.callback(self._refuse_calls)
            for work in reversed(self._before_close.values()):
                stack.push_async_callback(work)

    def _refuse_calls(self) -> None:
        self._closed = True


def _nothing() -> None:
    """Remove nothing: a read-only client has no writes after which something could be done."""


async def _open_writer(database: Database, *, clock: Clock) -> sqlite3.Connection:
    """Open the connection that writes, and wait while another process is in the way.

    Raises:
        BackendError: The file cannot be used.
    """
    # SQLite does not wait for other processes that turn WAL on at the same time, so this does.
    deadline = clock.monotonic() + database.busy_timeout.total_seconds()
    while True:
        try:
            return await take_or_give_back(
                asyncio.to_thread(database.open_writer),
                give_back=lambda opened: asyncio.to_thread(opened.close),
            )
        except BackendError as error:
            busy = primary_code(error.__cause__) == sqlite3.SQLITE_BUSY
            if not busy or clock.monotonic() > deadline:
                raise
        await clock.sleep(_BETWEEN_TRIES)
