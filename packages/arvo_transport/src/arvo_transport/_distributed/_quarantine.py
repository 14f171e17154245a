"""Tries events alone that may end their workers, so that no other is blamed for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Protocol

from ._held_delivery import HeldDelivery


class Emptiable(Protocol):
    """What of a worker has events in hand."""

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Receive nothing meanwhile."""
        ...

    async def leave_off(self) -> None:
        """Let nothing be on its way; returns when the engine gives nothing more."""
        ...

    async def give_back_waiting(self) -> None:
        """Give back what waits and what sleeps."""
        ...


class Quarantine:
    """Lets a worker have one event in hand, the suspect, until its first try has ended.

    An event that ended one worker after the other has been delivered often; so have those that
    were in hand beside it. Who lets the worker live is acquitted.
    """

    def __init__(self) -> None:
        self.topics: Sequence[Emptiable] = ()
        """All that has events in hand."""
        self._suspect: HeldDelivery | None = None
        self._running: set[HeldDelivery] = set()
        self._changed: asyncio.Future[None] | None = None

    def excludes(self, held: HeldDelivery) -> bool:
        """Return whether another event is to be alone, so that this one must go when it can."""
        return self._suspect is not None and self._suspect is not held

    @contextmanager
    def running(self, held: HeldDelivery) -> Iterator[None]:
        """Say that an event is being handled, suspect or not."""
        self._running.add(held)
        try:
            yield
        finally:
            self._running.discard(held)
            if self._changed is not None and not self._changed.done():
                self._changed.set_result(None)

    @asynccontextmanager
    async def alone(self, held: HeldDelivery) -> AsyncIterator[bool]:
        """Let an event be the only one in hand.

        Yields:
            False when another suspect is being tried: then this one is to be given back.
        """
        if self._suspect is not None:
            yield False
            return
        self._suspect = held
        try:
            async with AsyncExitStack() as pauses:
                for topic in self.topics:
                    await pauses.enter_async_context(topic.paused())
                await asyncio.gather(*(topic.leave_off() for topic in self.topics))
                await self._give_back_waiting()
                while len(self._running) > 1:
                    self._changed = asyncio.get_running_loop().create_future()
                    await self._changed
                await self._give_back_waiting()
                yield True
        finally:
            self._suspect = None

    async def _give_back_waiting(self) -> None:
        await asyncio.gather(*(topic.give_back_waiting() for topic in self.topics))
