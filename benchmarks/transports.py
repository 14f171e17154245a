"""What the benchmarks of transports do, on each engine."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler import ArvoOrchestrator, IMachineMemory
from arvo_event_handler.delivery import HandlerConfig
from arvo_memory_redis import RedisMachineMemory
from arvo_transport import (
    DistributedEventBroker,
    Done,
    IAnsweringTransport,
    IEventInbox,
    Output,
    Received,
    TopicSpec,
    connect_transport,
)
from benchmarks.calculator import (
    ADD,
    ADD_V1,
    THRICE,
    THRICE_V1,
    TOTAL,
    TOTAL_V1,
    Add,
    adder,
)
from benchmarks.servers import nats_server, redis_server
from benchmarks.workload import Workload

BATCH: Final = 50
"""How many events are in hand, or are asked for at a time."""
IN_THE_RING: Final = 4 * BATCH
"""How many events a ring has, so that a batch never waits for one that is settled."""
RING: Final = TopicSpec("com.benchmark.ring")
"""A topic whose events put another one at its end."""
_CLIENT = "com.benchmark.client"
_PATIENT = "?patience=600s"  # a ring that stands still between two rounds extends nothing
_RIGHT = ({"result": 3.0}, {"total": 5.0}, {"total": 7.0})

_requests = ArvoEventFactory(ADD.version(ADD_V1))
_twos = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_threes = ArvoOrchestratorEventFactory(THRICE.version(THRICE_V1))
_numbers = count()

Hop = Callable[[int], Awaitable[bool]]
"""Takes an event and puts another; whether that worked."""
Asking = Callable[[ArvoEvent], Awaitable[bool]]
"""Sends a request, and waits for its answer; whether it was right."""


@contextmanager
def _one_redis() -> Iterator[tuple[str, str]]:
    with redis_server() as server:
        yield server.url, server.url


@contextmanager
def _nats_and_redis() -> Iterator[tuple[str, str]]:
    with nats_server() as server, redis_server() as memory:
        yield f"{server.url}{_PATIENT}", memory.url


@contextmanager
def _nats() -> Iterator[str]:
    with nats_server() as server:
        yield f"{server.url}{_PATIENT}"


@contextmanager
def _redis() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where events are between processes."""

    name: str
    """As in the names of benchmarks."""
    url: Callable[[], AbstractContextManager[str]]
    """Starts a server, and yields its URL."""
    with_memory: Callable[[], AbstractContextManager[tuple[str, str]]]
    """Starts a server, and perhaps another for the memory; yields the URLs of both."""

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[IAnsweringTransport]:
        """Start a server, and connect to it."""
        with self.url() as url:
            async with connected(url) as transport:
                yield transport

    @asynccontextmanager
    async def ring(self) -> AsyncIterator[Hop]:
        """Yield a hop, which puts an event like the one it took at the end of the same topic."""
        async with self.transport() as transport:
            await transport.declare([RING])
            await transport.publish([ring_event() for _ in range(IN_THE_RING)])
            async with transport.inbox(RING, prefetch=2 * BATCH) as inbox:
                hand = _Hand(inbox)

                async def hop(_: int) -> bool:
                    received = await hand.take()
                    output = Output(ring_event(), topic=RING.name)
                    await inbox.settle(received, Done(outputs=[output]))
                    return True

                yield hop
                await inbox.stop()

    @asynccontextmanager
    async def answering(
        self, *workflows: Callable[[IMachineMemory], ArvoOrchestrator]
    ) -> AsyncIterator[Asking]:
        """Run a worker with the service and some workflows of `calculator`; yield what asks one."""
        with self.with_memory() as (url, memory_url):
            async with (
                connected(url) as transport,
                RedisMachineMemory.connect(memory_url) as memory,
            ):
                await transport.declare([TopicSpec(_CLIENT, kind="answers")])
                orchestrators = [workflow(memory) for workflow in workflows]
                handlers = [adder(), *orchestrators]
                async with (
                    DistributedEventBroker(
                        [HandlerConfig(each, prefetch=BATCH) for each in handlers],
                        transport=transport,
                    ) as broker,
                    transport.answers(_CLIENT) as box,
                ):
                    worker = asyncio.create_task(broker.run())
                    ordered = [TopicSpec(each.source, order="subject") for each in orchestrators]
                    await transport.declare([TopicSpec(ADD.type), *ordered])

                    async def ask(request: ArvoEvent) -> bool:
                        await transport.publish([request])
                        answer = await box.wait(request.id)
                        return answer.data in _RIGHT

                    yield ask
                    await broker.drain()
                    await worker


REDIS: Final = Engine(name="redis", url=_redis, with_memory=_one_redis)
NATS: Final = Engine(name="nats", url=_nats, with_memory=_nats_and_redis)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[IAnsweringTransport]:
    """Connect to a server by its URL.

    Raises:
        TypeError: The transport has no answer boxes.
    """
    async with connect_transport(url) as transport:
        if not isinstance(transport, IAnsweringTransport):
            raise TypeError(f"{type(transport).__name__} has no answer boxes")
        yield transport


class _Hand:
    """What was received and not taken yet; one task receives for all."""

    def __init__(self, inbox: IEventInbox) -> None:
        self._inbox = inbox
        self._received: deque[Received] = deque()
        self._receiving = asyncio.Lock()

    async def take(self) -> Received:
        while not self._received:
            async with self._receiving:
                if not self._received:
                    self._received.extend(await self._inbox.receive(BATCH))
        return self._received.popleft()


def ring_event() -> ArvoEvent:
    """Return an event for the ring."""
    return ArvoEvent.create(
        source=_CLIENT, type=RING.name, subject=f"s-{next(_numbers)}", data={"note": "x" * 400}
    )


def request() -> ArvoEvent:
    """Return a request to the service."""
    return _requests.accepts(source=_CLIENT, data=Add(a=1, b=2), id=f"ask-{next(_numbers)}")


def start_of_two() -> ArvoEvent:
    """Return the start of a workflow that asks twice."""
    return _twos.init(source=_CLIENT, data=Add(a=1, b=2), id=f"start-{next(_numbers)}")


def start_of_three() -> ArvoEvent:
    """Return the start of a workflow that asks three times."""
    return _threes.init(source=_CLIENT, data=Add(a=1, b=2), id=f"start-{next(_numbers)}")


def hops(hop: Hop, *, tasks: int) -> Workload[int, bool]:
    """Return hops of so many tasks."""
    return Workload(
        inputs=lambda n: [*range(n)], operation=hop, check=lambda done: done, concurrency=tasks
    )
