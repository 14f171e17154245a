"""A worker that may die at any call of its memory or transport, and whose calls may fail."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, Protocol, cast

from typing_extensions import override

from arvo_event_handler import IMachineMemory, MachineMemoryError
from arvo_transport import (
    IEventInbox,
    InMemoryEngine,
    InMemoryTransport,
    Received,
    Settlement,
    TopicSpec,
    TransportClosedError,
    TransportError,
)


class Fate(Protocol):
    """Decides what befalls a worker."""

    def strikes(self) -> bool:
        """Return whether a fault occurs."""
        ...

    async def thaw(self, worker: "Mortal") -> None:
        """Wait until a worker that is frozen goes on."""
        ...


class Mortal:
    """Dies at one of its calls, before or after its effect, as a process that is killed.

    Args:
        engine: Its engine, to which its connection is cut then.
        fate: Decides which calls fail.
        calls: How many calls it lives for; None for any number.
    """

    def __init__(self, engine: InMemoryEngine, *, fate: Fate, calls: int | None) -> None:
        self.client: InMemoryTransport = FaultyTransport(engine, mortal=self, fate=fate)
        self.dead = False
        self.frozen_until = 0.0
        """Until when it does nothing, by the clock's `monotonic`."""
        self._left = calls

    def live(self) -> bool:
        """Return whether it is alive, perhaps for the last time."""
        if self._left is not None and not self.dead:
            self._left -= 1
            if self._left <= 0:
                self.kill()
        return not self.dead

    def kill(self) -> None:
        """End it."""
        self.dead = True
        self.client.kill()


def mortal_memory(memory: IMachineMemory, mortal: Mortal) -> IMachineMemory:
    """Return a memory whose calls have no effect once a worker is dead."""
    return cast("IMachineMemory", _MortalMemory(memory, mortal))


class _MortalMemory:
    def __init__(self, memory: IMachineMemory, mortal: Mortal) -> None:
        self._memory = memory
        self._mortal = mortal

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._memory, name)
        return self._mortal_call(member) if iscoroutinefunction(member) else member

    def _mortal_call(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def made(*args: Any, **kwargs: Any) -> Any:
            self._check()
            result = await call(*args, **kwargs)
            self._check()
            return result

        return made

    def _check(self) -> None:
        if not self._mortal.live():
            raise MachineMemoryError("the process is dead", retryable=False, outcome="unknown")


class FaultyTransport(InMemoryTransport):
    """A client of an engine, some of whose calls fail although they were made.

    Args:
        engine: The engine.
        mortal: The worker whose client it is.
        fate: Decides which.
    """

    def __init__(self, engine: InMemoryEngine, *, mortal: Mortal, fate: Fate) -> None:
        super().__init__(engine)
        self._mortal = mortal
        self._fate = fate

    @override
    def inbox(self, topic: TopicSpec, *, prefetch: int) -> AbstractAsyncContextManager[IEventInbox]:
        return self._faulty_inbox(super().inbox(topic, prefetch=prefetch))

    @asynccontextmanager
    async def _faulty_inbox(
        self, opening: AbstractAsyncContextManager[IEventInbox]
    ) -> AsyncIterator[IEventInbox]:
        async with opening as inbox:
            yield _FaultyInbox(inbox, mortal=self._mortal, fate=self._fate)


class _FaultyInbox(IEventInbox):
    def __init__(self, inner: IEventInbox, *, mortal: Mortal, fate: Fate) -> None:
        self._inner = inner
        self._mortal = mortal
        self._fate = fate

    @property
    @override
    def patience(self) -> timedelta:
        return self._inner.patience

    @override
    async def receive(self, limit: int) -> Sequence[Received]:
        await self._fate.thaw(self._mortal)
        if self._fate.strikes():
            raise TransportError("no answer", retryable=True, outcome="failed")
        received = await self._inner.receive(limit)
        self._check()
        return received

    @override
    async def settle(self, received: Received, settlement: Settlement) -> None:
        await self._fate.thaw(self._mortal)
        self._check()
        if self._fate.strikes():
            raise TransportError("not reached", retryable=True, outcome="failed")
        await self._inner.settle(received, settlement)
        self._check()
        if self._fate.strikes():
            raise TransportError("no answer", retryable=True, outcome="unknown")

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        await self._fate.thaw(self._mortal)
        return await self._inner.extend(held)

    @override
    async def release(
        self, held: Sequence[Received], *, pause: timedelta = timedelta(0), begun: bool = False
    ) -> None:
        self._check()
        await self._inner.release(held, pause=pause, begun=begun)
        self._check()

    @override
    async def pause(self) -> None:
        await self._inner.pause()

    @override
    async def stop(self) -> None:
        await self._inner.stop()

    def _check(self) -> None:
        if not self._mortal.live():
            raise TransportClosedError
