"""What an event costs between processes. Run: uv run python -m benchmarks --only transport."""

from collections.abc import AsyncIterator, Callable

from arvo_core import ArvoEvent
from benchmarks.calculator import thrice, totaller
from benchmarks.transports import (
    BATCH,
    NATS,
    REDIS,
    RING,
    Asking,
    Engine,
    hops,
    request,
    ring_event,
    start_of_three,
    start_of_two,
)
from benchmarks.workload import Workload, benchmark


def _hops(engine: Engine) -> None:
    @benchmark(f"transport.{engine.name}.hop.c1")
    async def hop_by_one() -> AsyncIterator[Workload[int, bool]]:
        """One event in hand at a time: take it, settle it with one output."""
        async with engine.ring() as hop:
            yield hops(hop, tasks=1)

    @benchmark(f"transport.{engine.name}.hop.c50")
    async def hop_by_fifty() -> AsyncIterator[Workload[int, bool]]:
        """50 events in hand: at least half of the limit; on Redis 4 x naive."""
        async with engine.ring() as hop:
            yield hops(hop, tasks=BATCH)

    @benchmark(f"transport.{engine.name}.publish.c50")
    async def publish_by_fifty() -> AsyncIterator[Workload[ArvoEvent, bool]]:
        """50 tasks, each publishing one event at a time into an unordered topic."""
        async with engine.transport() as transport:
            await transport.declare([RING])

            async def publish(event: ArvoEvent) -> bool:
                await transport.publish([event])
                return True

            yield Workload(
                inputs=lambda n: [ring_event() for _ in range(n)],
                operation=publish,
                check=lambda done: done,
                concurrency=BATCH,
            )


def _latencies(engine: Engine) -> None:
    @benchmark(f"transport.{engine.name}.ask.p50")
    async def ask() -> AsyncIterator[Workload[ArvoEvent, bool]]:
        """Request to answer over one idle worker: the latency, at most 10 round trips of the engine."""
        async with engine.answering() as asking:
            yield _asked(asking, request, tasks=1)

    @benchmark(f"limit.{engine.name}.ping.p50")
    async def ping() -> AsyncIterator[Workload[int, bool]]:
        """One round trip of the engine through the same connection."""
        async with engine.transport() as transport:

            async def once(_: int) -> bool:
                await transport.ping()
                return True

            yield Workload(
                inputs=lambda n: [*range(n)],
                operation=once,
                check=lambda done: done,
                latencies=True,
            )


def _flows(engine: Engine) -> None:
    @benchmark(f"transport.{engine.name}.flow2.c50")
    async def two_steps() -> AsyncIterator[Workload[ArvoEvent, bool]]:
        """50 workflows at a time that ask a service twice, over one worker and the Redis memory."""
        async with engine.answering(totaller) as asking:
            yield _asked(asking, start_of_two, tasks=50)

    @benchmark(f"transport.{engine.name}.flow3.c20")
    async def three_steps() -> AsyncIterator[Workload[ArvoEvent, bool]]:
        """20 workflows at a time that ask a service three times, over one worker and the Redis memory."""
        async with engine.answering(thrice) as asking:
            yield _asked(asking, start_of_three, tasks=20)


def _asked(
    asking: Asking, request: Callable[[], ArvoEvent], *, tasks: int
) -> Workload[ArvoEvent, bool]:
    return Workload(
        inputs=lambda n: [request() for _ in range(n)],
        operation=asking,
        check=lambda done: done,
        concurrency=tasks,
        latencies=tasks == 1,
    )


for _engine in (REDIS, NATS):
    _hops(_engine)
    _latencies(_engine)
    _flows(_engine)
