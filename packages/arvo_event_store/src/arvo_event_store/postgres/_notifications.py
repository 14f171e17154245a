"""Telling other processes that there may be work, and being told."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from arvo_event_store.stores import Changes
from arvo_postgres import Connections, Listener
from arvo_time import Backoff, Clock
from arvo_time.logs import bounded_logger

from ._tables import Tables

_logger: Final = bounded_logger("arvo_event_store")
_APART: Final = timedelta(milliseconds=5)
_PATIENCE: Final = timedelta(seconds=2)
_AGAIN: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))
# Its commit would be one more wait for the disk, while all other notifications of the database wait for it.
_NOTIFY: Final = "SELECT pg_notify($1, $2), set_config('synchronous_commit', 'off', true)"


class Notifications:
    """The changes of a store, those of other processes too.

    A NOTIFY inside an append would let all commits of the database take turns. So the channel is told
    after commits, at most once in 5 ms, on a connection of its own. It is listened to from the first call
    of `wait`, on another one.

    Args:
        connections: Where to connect to.
        tables: The tables of the store, by which its channel is named.
        clock: By which everybody waits.
        listen: Whether other processes are told, and listened to; not with a pool of asyncpg.
    """

    def __init__(
        self, connections: Connections, *, tables: Tables, clock: Clock, listen: bool
    ) -> None:
        self._changes = Changes(clock)
        self._notifier: Notifier | None = None
        self._listener: Listener | None = None
        if listen and connections.can_open:
            self._notifier = Notifier(connections, channel=tables.channel, clock=clock)
            self._listener = Listener(
                connections, channel=tables.channel, on_notification=self._told, clock=clock
            )

    @property
    def count(self) -> int:
        """How many changes there were; only grows."""
        return self._changes.count

    def tell(self, position: int = 0) -> None:
        """Count a change that was committed here, and tell others.

        Args:
            position: The position of its last event; 0 if there is none.
        """
        self._changes.tell()
        if self._notifier is not None:
            self._notifier.notify(position)

    async def wait(self, *, seen: int, at_most: timedelta) -> bool:
        """Wait until the count is above what was seen, and return whether it is."""
        if self._listener is not None:
            self._listener.start()
        return await self._changes.wait(seen=seen, at_most=at_most)

    async def aclose(self) -> None:
        """Wake all who wait, send what is to be told, and end the connections. Idempotent."""
        self._changes.wake()
        if self._listener is not None:
            await self._listener.aclose()
        if self._notifier is not None:
            await self._notifier.aclose()

    def _told(self, pid: int | None) -> None:
        # What was told here was counted here.
        if self._notifier is None or pid is None or pid != self._notifier.pid:
            self._changes.tell()


class Notifier:
    """Tells a channel of changes, many at once.

    Args:
        connections: Where to connect to.
        channel: The channel.
        clock: For the time between two notifications, and the pauses before it connects again.
    """

    def __init__(self, connections: Connections, *, channel: str, clock: Clock) -> None:
        self._connections = connections
        self._channel = channel
        self._clock = clock
        self._position: int | None = None
        """The highest one of what is to be told; None if there is nothing."""
        self._connection: Any = None
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process of the server that tells for it; None before the first notification."""
        return None if self._connection is None else self._connection.get_server_pid()

    def notify(self, position: int) -> None:
        """Tell the channel soon."""
        if self._closed:
            return
        self._keep(position)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def aclose(self) -> None:
        """Send what is to be told, but do not wait long, and end the connection. Idempotent."""
        self._closed = True
        sending, self._sending = self._sending, None
        if sending is not None and not sending.done():
            sending.cancel()
            await asyncio.wait([sending])
        try:
            with suppress(Exception):
                async with self._clock.timeout(_PATIENCE):
                    await self._send()
        finally:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(Exception):
                    await connection.close(timeout=_PATIENCE.total_seconds())

    async def _send_all(self) -> None:
        failures = 0
        while self._position is not None:
            try:
                await self._send()
                failures = 0
                await self._clock.sleep(_APART)
            except Exception as error:
                _logger.debug("could not notify: %s: %s", type(error).__name__, error)
                self._drop()
                await self._clock.sleep(_AGAIN.delay(failures))
                failures += 1

    async def _send(self) -> None:
        position, self._position = self._position, None
        if position is None:
            return
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connections.open("NOTIFY")
            timeout = _PATIENCE.total_seconds()
            await self._connection.execute(_NOTIFY, self._channel, str(position), timeout=timeout)
        except BaseException:
            self._keep(position)
            raise

    def _keep(self, position: int) -> None:
        self._position = max(position, self._position or 0)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
