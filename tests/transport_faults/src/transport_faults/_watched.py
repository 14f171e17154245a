"""Books what the inboxes of a worker do, and kills the worker at one of their calls."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

from typing_extensions import override

from arvo_transport import (
    DOOR,
    DeliveryLostError,
    IEventInbox,
    IEventTransport,
    Received,
    Settlement,
    TopicSpec,
)

from ._ledger import Ledger
from ._roles import Death, Point


def watch(transport: IEventTransport, *, ledger: Ledger, death: Death | None) -> None:
    """Let the inboxes that a transport opens book what they do."""
    opening = transport.inbox
    doom = _Doom(death)

    @asynccontextmanager
    async def watched(topic: TopicSpec, inner: AbstractAsyncContextManager[IEventInbox]) -> Any:
        async with inner as inbox:
            yield inbox if topic.name == DOOR else _WatchedInbox(inbox, ledger=ledger, doom=doom)

    def inbox(topic: TopicSpec, *, prefetch: int) -> AbstractAsyncContextManager[IEventInbox]:
        return watched(topic, opening(topic, prefetch=prefetch))

    transport.inbox = inbox  # type: ignore[method-assign]


class _Doom:
    """Kills this process when its time has come."""

    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._left = 0 if death is None else death.after

    def comes(self, point: Point) -> bool:
        """Return whether the worker dies at this point."""
        if self._death is None or self._death.point != point:
            return False
        self._left -= 1
        return self._left < 0

    async def strike(self) -> None:
        if self._death is not None:
            await asyncio.sleep(self._death.seconds)
        os.kill(os.getpid(), signal.SIGKILL)


class _WatchedInbox(IEventInbox):
    def __init__(self, inner: IEventInbox, *, ledger: Ledger, doom: _Doom) -> None:
        self._inner = inner
        self._ledger = ledger
        self._doom = doom
        self._striking: set[asyncio.Task[None]] = set()

    @property
    @override
    def patience(self) -> timedelta:
        return self._inner.patience

    @override
    async def receive(self, limit: int) -> Sequence[Received]:
        found = await self._inner.receive(limit)
        for each in found:
            self._ledger.book("received", each.event, deliveries=each.deliveries)
            if self._doom.comes("received"):
                await self._doom.strike()
        return found

    @override
    async def settle(self, received: Received, settlement: Settlement) -> None:
        if self._doom.comes("committed"):
            await self._doom.strike()
        if self._doom.comes("stored"):
            self._striking.add(asyncio.create_task(self._doom.strike()))
        try:
            await self._inner.settle(received, settlement)
        except DeliveryLostError:
            self._ledger.book("lost", received.event, deliveries=received.deliveries)
            raise
        if self._doom.comes("acknowledged"):
            await self._doom.strike()
        self._ledger.book("settled", received.event, deliveries=received.deliveries)

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        return await self._inner.extend(held)

    @override
    async def release(
        self, held: Sequence[Received], *, pause: timedelta = timedelta(0), begun: bool = False
    ) -> None:
        await self._inner.release(held, pause=pause, begun=begun)

    @override
    async def pause(self) -> None:
        await self._inner.pause()

    @override
    async def stop(self) -> None:
        await self._inner.stop()
