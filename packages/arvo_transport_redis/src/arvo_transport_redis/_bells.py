"""Wakes who waits, by messages of the server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from arvo_redis import Server

Listener: TypeAlias = Callable[[bytes | None], None]
"""Receives a message, or None when some may have been missed."""


class Bells:
    """The channels that anything in one transport listens to, over one connection."""

    def __init__(self, server: Server) -> None:
        """Do not connect yet."""
        self._subscription = server.subscription(on_message=self._ring)
        self._listeners: dict[str, set[Listener]] = {}

    @asynccontextmanager
    async def listen(self, channel: str, listener: Listener) -> AsyncIterator[None]:
        """Call a function for each message of a channel, for as long as the block lasts."""
        listeners = self._listeners.setdefault(channel, set())
        listeners.add(listener)
        try:
            if len(listeners) == 1:
                await self._subscription.subscribe(channel)
            yield
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(channel) is listeners:
                del self._listeners[channel]
                await self._subscription.unsubscribe(channel)

    async def aclose(self) -> None:
        """Close the connection. Idempotent."""
        await self._subscription.aclose()

    def _ring(self, channel: str, message: bytes | None) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            listener(message)
