"""Lends the connections of a pool, each for one statement."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import asyncpg

from arvo_time.logs import bounded_logger

from ._failures import closed, pool_exhausted, unreachable
from ._owned_pool import close_pool

_KEPT: Final = 0.1  # seconds; then the pool has them back, with its rules for those that idle
_logger = bounded_logger("arvo_memory_postgres")


class Connections:
    """The connections of a pool.

    To enter and leave a pool of asyncpg costs as much as a statement: timers and a task each time.
    So of a pool that is ours alone we keep connections from one statement to the next, unless
    somebody waits for one.

    Args:
        pool: The pool.
        timeout: How long to wait for a connection.
    """

    def __init__(self, pool: asyncpg.Pool, *, timeout: timedelta) -> None:
        self.is_ours = False
        """Set when nobody else uses the pool: it is closed with this."""
        self._pool = pool
        self._timeout = timeout
        self._idle: list[Any] = []  # the one used last is the last
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._returning: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether no more are lent."""
        return self._is_closed or bool(self._pool.is_closing())

    async def take(self, operation: str) -> Any:
        """Return a connection that nobody else has; give it back by `give_back` or `drop`.

        Raises:
            MachineMemoryError: None was free in time, or this is closed; the outcome is failed.
            Exception: Whatever asyncpg raises when it cannot connect.
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
        if not self.is_ours or self._waiting or self.is_closed:
            await self._return(connection)
            return
        self._idle.append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_KEPT, self._return_idle)

    async def drop(self, connection: Any, *, lost: bool) -> None:
        """Take back a connection whose statement failed, or was cancelled.

        Args:
            connection: The connection.
            lost: Whether it is of no more use.
        """
        if lost:
            connection.terminate()  # or the pool may hand it out again
        await self._return(connection)

    async def aclose(self) -> None:
        """Lend no more, and wait for what is lent if the pool is ours. Harmless again."""
        if self._is_closed:
            return
        self._is_closed = True
        self._return_idle()
        if self.is_ours:
            await close_pool(self._pool, patience=self._timeout)

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
            # The pool has ended it. The statement has its answer, or its own error.
            _logger.debug("a connection could not be reset", exc_info=True)
