"""Workers over an engine in the process, on a fake clock, with handlers whose behaviour is chosen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoContract, ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import DeadLetter, HandlerConfig, StoredLetter
from arvo_time import Backoff
from arvo_time.testing import FakeClock
from arvo_transport import (
    DistributedEventBroker,
    IEventInbox,
    InMemoryEngine,
    InMemoryTransport,
    Received,
    Settlement,
    TopicDepth,
    TopicSpec,
)

SECOND = timedelta(seconds=1)
PATIENCE = timedelta(seconds=15)
STEADY = Backoff(initial=SECOND, maximum=60 * SECOND, jitter=False)
ONE = "com.svc.one"
TWO = "com.svc.two"
APP = "com.app.main"
Act = Callable[[ArvoEvent], Awaitable[list[ArvoEvent]]]


class StubHandler(IArvoEventHandler):
    """Runs a function, and records the ids of the events it gets, in order.

    Args:
        act: Called with each event; None emits nothing.
        source: The topic of the handler.
        stateful: The value of its attribute.
        contract: The value of its attribute.
    """

    def __init__(
        self,
        act: Act | None = None,
        *,
        source: str = ONE,
        stateful: bool = False,
        contract: ArvoContract | None = None,
    ) -> None:
        self._act = act
        self._source = source
        self._stateful = stateful
        self._contract = contract
        self.tried: list[str] = []
        self.running = 0
        self.most_at_once = 0

    @property
    @override
    def source(self) -> str:
        return self._source

    @property
    @override
    def stateful(self) -> bool:
        return self._stateful

    @property
    @override
    def contract(self) -> ArvoContract | None:
        return self._contract

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        self.tried.append(event.id)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            return [] if self._act is None else await self._act(event)
        finally:
            self.running -= 1


class Gate:
    """Holds handlers until it is opened."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    async def act(self, cause: ArvoEvent) -> list[ArvoEvent]:
        await self._open.wait()
        return []

    def open(self) -> None:
        self._open.set()


def event(
    id: str, *, to: str = ONE, source: str = APP, subject: str = "s", **attributes: Any
) -> ArvoEvent:
    return ArvoEvent.create(
        **{"id": id, "type": to, "to": to, "source": source, "subject": subject, "data": {}}
        | attributes
    )


def emitted(cause: ArvoEvent, index: int = 0, **attributes: Any) -> ArvoEvent:
    """Return an event that a handler emits for `cause`; by default an answer to its sender."""
    return ArvoEvent.create(
        **{
            "id": f"{cause.id}>{index}",
            "type": "evt.svc.done",
            "to": cause.source,
            "source": cause.to or ONE,
            "subject": cause.subject,
            "parentid": cause.id,
            "data": {},
        }
        | attributes
    )


async def answer(cause: ArvoEvent) -> list[ArvoEvent]:
    return [emitted(cause)]


def failing(times: int, error: Exception, **options: Any) -> StubHandler:
    """Return a handler that fails `times` times, over all events, and then answers."""

    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        if len(handler.tried) <= times:
            raise error
        return [emitted(cause)]

    handler = StubHandler(act, **options)
    return handler


class Bench:
    """An engine and a client of it that stands for an application."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = InMemoryEngine(clock=self.clock, patience=PATIENCE, max_event_bytes=100_000)
        self.app = InMemoryTransport(self.engine)
        self.letters: list[DeadLetter] = []
        self.errors: list[tuple[str, str]] = []

    def broker(
        self,
        *handlers: HandlerConfig | IArvoEventHandler,
        transport: InMemoryTransport | None = None,
        **options: Any,
    ) -> DistributedEventBroker:
        return DistributedEventBroker(
            handlers,
            transport=transport or InMemoryTransport(self.engine),
            on_dead_letter=self._keep,
            on_broker_error=self._note,
            clock=self.clock,
            **options,
        )

    @asynccontextmanager
    async def worker(
        self, *handlers: HandlerConfig | IArvoEventHandler, **options: Any
    ) -> AsyncIterator[DistributedEventBroker]:
        """Run a broker, and drain it at the end."""
        async with self.broker(*handlers, **options) as broker:
            running = asyncio.create_task(broker.run())
            await self.clock.settle()
            try:
                yield broker
                await self.clock.run_until_complete(broker.drain())
            except BaseException:
                await self.clock.run_until_complete(broker.aclose(grace=timedelta(0)))
                raise
            finally:
                await self.clock.run_until_complete(asyncio.wait([running]))
        await running

    async def declare(self, *topics: TopicSpec) -> None:
        await self.app.declare(topics)

    async def declare_app(self) -> None:
        """Let `APP` be a client, whose answers are kept."""
        await self.declare(TopicSpec(APP, kind="answers"))

    async def send(self, *events: ArvoEvent, again: str = "") -> None:
        await self.app.publish(events, again=again)
        await self.clock.settle()

    async def answer_to(self, request: str, *, address: str = APP) -> ArvoEvent | None:
        async with self.app.answers(address) as box:
            return await box.get(request)

    async def depth(self, topic: str = ONE) -> TopicDepth:
        return await self.app.depth(topic)

    async def dead(self, topic: str | None = None) -> Sequence[StoredLetter]:
        return await self.app.dead_letters(topic)

    async def _keep(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def _note(self, event: ArvoEvent, error: Exception) -> None:
        self.errors.append((event.id, str(error)))


Hook = Callable[[IEventInbox, Received, Settlement], Awaitable[None]]


class HookedTransport(InMemoryTransport):
    """A client that lets a test replace what `settle` does, and records the other calls.

    Args:
        engine: The engine.
        settle: Called instead of `settle`, with the inbox that can do it; None settles.
    """

    def __init__(self, engine: InMemoryEngine, *, settle: Hook | None = None) -> None:
        super().__init__(engine)
        self.settle = settle
        self.settled: list[tuple[str, Settlement]] = []
        self.extended: list[list[str]] = []
        self.receive_failures: list[Exception] = []
        self.frozen = False

    @override
    def inbox(self, topic: TopicSpec, *, prefetch: int) -> AbstractAsyncContextManager[IEventInbox]:
        return self._hooked(super().inbox(topic, prefetch=prefetch))

    @asynccontextmanager
    async def _hooked(
        self, opening: AbstractAsyncContextManager[IEventInbox]
    ) -> AsyncIterator[IEventInbox]:
        async with opening as inbox:
            yield _HookedInbox(inbox, self)


class _HookedInbox(IEventInbox):
    def __init__(self, inner: IEventInbox, hooks: HookedTransport) -> None:
        self._inner = inner
        self._hooks = hooks

    @property
    @override
    def patience(self) -> timedelta:
        return self._inner.patience

    @override
    async def receive(self, limit: int) -> Sequence[Received]:
        if self._hooks.receive_failures:
            raise self._hooks.receive_failures.pop(0)
        return await self._inner.receive(limit)

    @override
    async def settle(self, received: Received, settlement: Settlement) -> None:
        self._hooks.settled.append((received.event.id, settlement))
        if self._hooks.settle is None:
            await self._inner.settle(received, settlement)
        else:
            await self._hooks.settle(self._inner, received, settlement)

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        if self._hooks.frozen:
            return []
        self._hooks.extended.append([received.event.id for received in held])
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


def ids(letters: Iterable[DeadLetter]) -> list[tuple[str, str]]:
    """Return the event's id and the reason of each letter."""
    return [(letter.event.id, str(letter.reason)) for letter in letters]
