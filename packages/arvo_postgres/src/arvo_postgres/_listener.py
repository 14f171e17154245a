"""Notifications of a channel, over a connection of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final, TypeAlias

from arvo_time import Backoff, Clock
from arvo_time.logs import bounded_logger

from ._connections import Connections

OnNotification: TypeAlias = Callable[[int | None], None]
"""Receives the process of the server that told, or None when listening begins. It begins again after a
lost connection, and what was told meanwhile is lost. It must not raise."""

_logger: Final = bounded_logger("arvo_postgres")
_RECONNECT: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))
_PROBE: Final = timedelta(seconds=15)
_PATIENCE: Final = timedelta(seconds=10)


class Listener:
    """Listens to a channel of NOTIFY from `start` to `aclose`.

    A connection that is lost is noticed when it is, or when a probe is not answered: nothing else is
    sent on it. Then it is made again, without end.

    Args:
        connections: Where to connect to; see `Connections.can_open`.
        channel: The channel, at most 63 bytes.
        on_notification: Called for each notification.
        clock: For the time between probes, and the pauses before it connects again.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        channel: str,
        on_notification: OnNotification,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._channel = channel
        self._on_notification = on_notification
        self._clock = clock
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, unless it has begun already."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen_always())

    async def aclose(self) -> None:
        """End the connection. Idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def _listen_always(self) -> None:
        failures = 0
        while True:
            try:
                async with self._connection() as connection:
                    failures = 0
                    self._on_notification(None)
                    await self._watch(connection)
            except Exception as error:
                _logger.debug("a listener was lost: %s: %s", type(error).__name__, error)
            await self._clock.sleep(_RECONNECT.delay(failures))
            failures += 1

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await self._connections.open("LISTEN")
        try:
            await connection.add_listener(self._channel, self._told)
            yield connection
        finally:
            with suppress(Exception):
                await connection.close(timeout=_PATIENCE.total_seconds())

    async def _watch(self, connection: Any) -> None:
        """Return when the connection is lost; an unanswered probe is an error."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not (lost.is_set() or connection.is_closed()):
            with suppress(TimeoutError):
                async with self._clock.timeout(_PROBE):
                    await lost.wait()
                    return
            await connection.fetchval("SELECT 1", timeout=_PATIENCE.total_seconds())

    def _told(self, _connection: object, pid: int, _channel: str, _payload: object) -> None:
        self._on_notification(pid)
