"""Messages of channels, over a connection of their own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, TypeAlias

from arvo_time import Backoff, Clock
from arvo_time.logs import bounded_logger

from ._failure import DRIVER_ERRORS

OnMessage: TypeAlias = Callable[[str, bytes | None], None]
"""Receives the channel and the message, or None when the subscription of the channel begins. It begins
again after a lost connection, and what was published meanwhile is not told."""

_logger: Final = bounded_logger("arvo_redis")
_RECONNECT: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))
_SILENCE: Final = timedelta(seconds=30)


class Subscription:
    """The channels that one user of a server listens to. Get one from `Server.subscription`.

    The connection is made with the first channel, and made again when it is lost.
    """

    def __init__(
        self, open_pubsub: Callable[[], Any], *, on_message: OnMessage, clock: Clock
    ) -> None:
        """Do not connect yet.

        Args:
            open_pubsub: Returns a `PubSub` of redis-py that is not connected.
            on_message: Called for each message; it must not raise.
            clock: For the pauses before it connects again.
        """
        self._open_pubsub = open_pubsub
        self._on_message = on_message
        self._clock = clock
        self._channels: set[str] = set()
        self._pubsub: Any = None
        self._reading: asyncio.Task[None] | None = None

    async def subscribe(self, channel: str) -> None:
        """Listen to a channel. A server that cannot be reached is asked again, without end."""
        self._channels.add(channel)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_always())
        elif self._pubsub is not None:
            with suppress(*DRIVER_ERRORS):  # the reader notices as well
                await self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Do not listen to a channel any more."""
        self._channels.discard(channel)
        if self._pubsub is not None:
            with suppress(*DRIVER_ERRORS):
                await self._pubsub.unsubscribe(channel)

    async def aclose(self) -> None:
        """Close the connection. Idempotent."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read_always(self) -> None:
        failures = 0
        while True:
            pubsub = self._open_pubsub()
            try:
                await pubsub.subscribe(*self._channels)
                self._pubsub = pubsub
                failures = 0
                await self._read(pubsub)
            except DRIVER_ERRORS as error:
                _logger.debug("a subscription was lost: %s: %s", type(error).__name__, error)
            finally:
                self._pubsub = None
                with suppress(*DRIVER_ERRORS):
                    await pubsub.aclose()
            await self._clock.sleep(_RECONNECT.delay(failures))
            failures += 1

    async def _read(self, pubsub: Any) -> None:
        """Read until the connection is lost, or silent although the server was asked."""
        for channel in self._channels:  # those of the time while it connected
            if channel.encode() not in pubsub.channels:
                await pubsub.subscribe(channel)
        asked = False
        while True:
            message = await pubsub.get_message(timeout=_SILENCE.total_seconds())
            if message is None:
                if asked:
                    return
                asked = True
                await pubsub.ping()
                continue
            asked = False
            if message["type"] == "message":
                self._on_message(message["channel"].decode(), message["data"])
            elif message["type"] == "subscribe":
                self._on_message(message["channel"].decode(), None)
