"""Lends the connections of a pool, each for one statement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self

import asyncpg

from arvo_time import SYSTEM_CLOCK, Clock, ClockTimer
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_clock, check_duration

from ._failures import closed, pool_exhausted, unreachable
from ._pool import DAY, close_pool, connect_alone, open_pool, plain_pool, settings

_TEN_SECONDS: Final = timedelta(seconds=10)
# After this time idle connections go back to the pool, which has its own rules for them.
_IDLE_TIME: Final = timedelta(milliseconds=100)
_NO_SETTINGS: Final[Mapping[str, str]] = {}
_logger = bounded_logger("arvo_postgres")


class Connections:
    """The connections of a pool.

    Taking a connection from a pool of asyncpg and giving it back costs as much as a statement: timers
    and a task each time. So connections of a pool that is ours alone are kept from one statement to
    the next, unless another task waits for one.

    Args:
        pool: Your own pool, which stays open when this is closed.
        pool_timeout: How long to wait for a connection; above 0, at most a day.
        clock: Times when idle connections go back to the pool, and how long closing waits. Waiting
            for a connection is left to asyncpg, which uses the event loop's time.

    Raises:
        TypeError: `pool_timeout` is not a timedelta, or `clock` is not a `Clock`.
        ValueError: `pool_timeout` is not above 0, or is above a day.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        pool_timeout: timedelta = _TEN_SECONDS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_duration(pool_timeout, name="pool_timeout", above_zero=True, most=DAY)
        self._pool = pool
        self._timeout = pool_timeout
        self._clock = check_clock(clock)
        self._is_ours = False
        self._connect: Callable[[], Awaitable[Any]] | None = None
        self._opening: set[asyncio.Future[Any]] = set()
        self._read_only = False
        self._idle: list[Any] = []  # the most recently used one is the last
        self._waiting = 0
        self._timer: ClockTimer | None = None
        self._returning: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        dsn: str,
        *,
        pool_size: int = 10,
        pool_timeout: timedelta = _TEN_SECONDS,
        statement_cache_size: int = 100,
        read_only: bool = False,
        server_settings: Mapping[str, str] = _NO_SETTINGS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a pool and lend its connections for as long as the block lasts.

        Args:
            dsn: Such as `postgresql://user:password@host/database`.
            pool_size: The maximum number of connections, up to 10,000.
            pool_timeout: See the class; connecting may take as long.
            statement_cache_size: How many prepared statements a connection keeps.
            read_only: Whether the server refuses what writes (`default_transaction_read_only`).
            server_settings: Settings of the server for these connections; a PgBouncer must let them
                pass.
            clock: See the class.

        Raises:
            BackendError: The database cannot be reached.
            TypeError: The timeout is not a timedelta, a number is not an int, `read_only` not a bool,
                or `clock` is not a `Clock`.
            ValueError: The timeout is 0 or above a day, `pool_size` is not within 1 and 10,000,
                `statement_cache_size` is below 0, or asyncpg does not accept the DSN
                (`InvalidDsnError`).
        """
        pool = plain_pool(
            dsn,
            pool_size=pool_size,
            pool_timeout=pool_timeout,
            statement_cache_size=statement_cache_size,
            read_only=read_only,
            server_settings=server_settings,
        )
        connections = cls(pool, pool_timeout=pool_timeout, clock=clock)
        await open_pool(pool)
        connections._is_ours = True
        connections._read_only = read_only
        connections._connect = partial(
            connect_alone,
            dsn,
            patience=pool_timeout,
            statement_cache_size=statement_cache_size,
            server_settings=settings(server_settings, read_only=read_only),
        )
        try:
            yield connections
        finally:
            await connections.aclose()

    @property
    def read_only(self) -> bool:
        """Whether `connect` was told to write nothing."""
        return self._read_only

    @property
    def is_closed(self) -> bool:
        """Whether no more connections are lent."""
        return self._is_closed or bool(self._pool.is_closing())

    @property
    def can_open(self) -> bool:
        """Whether `open` can be called: not with a pool of asyncpg, which does not say where it leads."""
        return self._connect is not None

    async def open(self, operation: str) -> Any:
        """Return one more connection like those of the pool, which does not count it; close it yourself.

        Args:
            operation: What it is for, for errors.

        Raises:
            BackendError: The database cannot be reached, or this is closed (`ClosedError`).
            ValueError: See `can_open`.
        """
        if self.is_closed:
            raise closed(operation)
        if self._connect is None:
            raise ValueError("a pool of asyncpg does not say where to connect to")
        # asyncpg leaves an error that nobody retrieves where it is cancelled while it connects.
        opening = asyncio.ensure_future(self._connect())
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_end)
            raise

    async def take(self, operation: str) -> Any:
        """Return a connection for exclusive use; give it back with `give_back` or `drop`.

        Args:
            operation: What it is for, for errors.

        Raises:
            BackendError: No connection was free in time, or this is closed (`ClosedError`); the
                outcome is "failed".
            Exception: Any error that asyncpg raises when it cannot connect.
        """
        if self.is_closed:
            raise closed(operation)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            await self._return(connection)
        self._waiting += 1
        try:
            return await self._pool.acquire(timeout=self._timeout.total_seconds())
        except TimeoutError as error:
            if self._pool.get_size() < self._pool.get_max_size():
                raise unreachable(operation) from error
            raise pool_exhausted(operation) from error
        finally:
            self._waiting -= 1

    async def give_back(self, connection: Any) -> None:
        """Take back a connection whose statement was answered."""
        if not self._is_ours or self._waiting or self.is_closed:
            await self._return(connection)
            return
        self._idle.append(connection)
        if self._timer is None:
            self._timer = self._clock.call_later(_IDLE_TIME, self._return_idle)

    async def drop(self, connection: Any, *, lost: bool) -> None:
        """Take back a connection whose statement failed, or was cancelled.

        Args:
            connection: The connection.
            lost: Whether it can no longer be used.
        """
        if lost:
            # Otherwise the pool may lend it again. If it has closed it already, this is refused.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
        await self._return(connection)

    async def aclose(self) -> None:
        """Lend no more connections; if the pool is ours, wait for those that are lent. Idempotent."""
        self._is_closed = True
        self._return_idle()
        if self._opening:
            await asyncio.wait([*self._opening])
        if self._is_ours:
            await close_pool(self._pool, patience=self._timeout, clock=self._clock)

    def _return_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            task = asyncio.ensure_future(self._return(self._idle.pop()))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

    async def _return(self, connection: Any) -> None:
        try:
            await self._pool.release(connection)
        except Exception:
            # The pool has closed it. The statement has its answer, or its own error.
            _logger.debug("a connection could not be reset", exc_info=True)


def _end(opened: asyncio.Future[Any]) -> None:
    """End a connection that was opened for somebody who does not wait for it any more."""
    if not opened.cancelled() and opened.exception() is None:
        opened.result().terminate()
