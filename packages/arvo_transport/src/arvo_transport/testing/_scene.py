"""Clients and workers of an engine, and time that passes for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

from arvo_time.testing import FakeClock
from arvo_transport import (
    DeliveryLostError,
    Done,
    IEventInbox,
    IEventTransport,
    Output,
    Received,
    TopicSpec,
    TransportClosedError,
)

from ._engine_under_test import EngineUnderTest

T = TypeVar("T")

_STEP: Final = timedelta(milliseconds=500)
_LIMIT: Final = timedelta(minutes=2)
"""After this a call counts as hanging; several times each patience."""
_LONG: Final = timedelta(seconds=10)
"""A patience that is longer than a busy machine keeps a client waiting."""
SHORT: Final = timedelta(seconds=2)
"""A patience that tests can wait for; a client that is not scheduled for so long loses events."""
_REST: Final = timedelta(seconds=5)
"""After this the depth of a topic must be right."""


class Worker:
    """A client with an inbox."""

    def __init__(self, scene: "Scene", client: IEventTransport, inbox: IEventInbox) -> None:
        self._scene = scene
        self.client = client
        self.inbox = inbox

    async def receive(self, count: int) -> list[Received]:
        """Receive exactly that many events, for which time passes if it must."""
        received: list[Received] = []
        while len(received) < count:
            left = count - len(received)
            got = await self._scene.ends(self.inbox.receive(left), what=f"receive {left} events")
            assert got, "receive must wait for an event"
            assert len(got) <= left, f"receive({left}) must not return {len(got)}"
            received += got
        return received

    async def done(self, received: Received, *outputs: Output) -> None:
        """Settle an event as handled."""
        await self.inbox.settle(received, Done(outputs=outputs))

    async def handle(self, count: int) -> list[Received]:
        """Receive exactly that many events, and settle each as handled."""
        handled: list[Received] = []
        while len(handled) < count:
            for received in await self.receive(1):
                await self.done(received)
                handled.append(received)
        return handled

    async def kill(self) -> None:
        """End it as the end of its process would."""
        await self._scene.engine.kill(self.client)

    @asynccontextmanager
    async def keeping(self, held: Sequence[Received]) -> AsyncIterator[None]:
        """Extend events for as long as the block lasts, at a third of the patience."""

        async def extend() -> None:
            while True:
                await self._scene.engine.clock.sleep(self.inbox.patience / 3)
                await self.inbox.extend(held)

        task = asyncio.create_task(extend())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Scene:
    """An engine, the topics of a test, and a standing client that has declared them.

    Args:
        engine: The engine.
        topics: What to declare.
        patience: That of all clients.
    """

    def __init__(
        self, engine: EngineUnderTest, *topics: TopicSpec, patience: timedelta = _LONG
    ) -> None:
        self.engine = engine
        self._patience = patience
        self._topics = topics
        self._stack = AsyncExitStack()
        self._client: IEventTransport | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        self._client = await self.connect()
        if self._topics:
            await self._client.declare(self._topics)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the test, which fails when that does."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    @property
    def client(self) -> IEventTransport:
        """The standing client."""
        assert self._client is not None
        return self._client

    async def connect(self) -> IEventTransport:
        """Open a client, which is closed at the end of the test."""
        context = self.engine.connect(patience=self._patience)
        client = await context.__aenter__()

        async def close() -> None:
            with suppress(TransportClosedError):  # killed, or closed by the test
                await context.__aexit__(None, None, None)

        self._stack.push_async_callback(close)
        return client

    async def worker(self, topic: TopicSpec) -> Worker:
        """Open a client and its inbox, which are closed at the end of the test."""
        return await self.worker_of(await self.connect(), topic)

    async def worker_of(self, client: IEventTransport, topic: TopicSpec) -> Worker:
        """Open an inbox of a client, which is closed at the end of the test."""
        context = client.inbox(topic, prefetch=10)
        inbox = await context.__aenter__()

        async def close() -> None:
            with suppress(TransportClosedError):
                await context.__aexit__(None, None, None)

        self._stack.push_async_callback(close)
        return Worker(self, client, inbox)

    async def let_pass(self, delta: timedelta) -> None:
        """Let time pass, and others do what they do in it."""
        clock = self.engine.clock
        if isinstance(clock, FakeClock):
            await clock.run_for(delta)
        else:
            await clock.sleep(delta)

    async def ends(
        self, call: Awaitable[T], *, what: str = "the call", limit: timedelta = _LIMIT
    ) -> T:
        """Await a call that must end; time passes for it only if it cannot end without."""
        task = asyncio.ensure_future(call)
        await self.until(task.done, what=what, or_cancel=task, limit=limit)
        return task.result()

    async def until(
        self,
        condition: Callable[[], bool],
        *,
        what: str,
        or_cancel: asyncio.Future[T] | None = None,
        limit: timedelta = _LIMIT,
    ) -> None:
        """Let time pass until something is so, and fail when that takes too long."""
        clock = self.engine.clock
        end = clock.monotonic() + limit.total_seconds()
        while True:
            if isinstance(clock, FakeClock):
                await clock.settle()
            elif or_cancel is None:
                await clock.sleep(_STEP / 50)
            else:
                await asyncio.wait({or_cancel}, timeout=_STEP.total_seconds())
            if condition():
                return
            for task in self._tasks:
                if task.done() and not task.cancelled():
                    task.result()
            if clock.monotonic() >= end:
                if or_cancel is not None:
                    or_cancel.cancel()
                    await asyncio.gather(or_cancel, return_exceptions=True)
                raise AssertionError(f"took too long: {what}")
            if isinstance(clock, FakeClock):
                await clock.run_for(_STEP)

    async def nothing_for(self, delta: timedelta, call: Awaitable[object], *, what: str) -> None:
        """Fail when a call ends within a time; it is cancelled then."""
        task = asyncio.ensure_future(call)
        try:
            await self.let_pass(delta)
            assert not task.done(), f"{what}, but it ended with {task.result()!r}"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rest(self, topic: TopicSpec, **wanted: int) -> None:
        """Wait until the depth of a topic is as wanted, and fail when that does not come."""

        async def look() -> None:
            while True:
                depth = await self.client.depth(topic.name)
                if all(getattr(depth, name) == number for name, number in wanted.items()):
                    return
                await self.engine.clock.sleep(_STEP / 5)

        await self.ends(look(), what=f"a depth of {topic.name} with {wanted}", limit=_REST)


async def settled_or_lost(inbox: IEventInbox, received: Received, settlement: Done) -> bool:
    """Settle an event; return False when it was lost, or settled before."""
    try:
        await inbox.settle(received, settlement)
    except DeliveryLostError:
        return False
    return True


async def cancelled_after(turns: int, call: Awaitable[object]) -> bool:
    """Start a call and cancel it after this many turns of the loop; return whether it had ended."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return ended


def ids(received: Iterable[Received]) -> list[str]:
    """Return the ids of what was received."""
    return [each.event.id for each in received]
