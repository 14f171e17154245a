"""What events cost as more of them wait. Run: python -m benchmarks.growth_waiting."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from statistics import median
from time import perf_counter

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Order
from arvo_transport import Done, IEventInbox, IEventTransport, TopicSpec
from benchmarks.transports import BATCH, NATS, REDIS

_ROUNDS = 15
_PUBLISHED_TOGETHER = 500
_SUBJECTS = 1_000
_numbers = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """Milliseconds, in the median of rounds."""

    receive: float
    """To receive `BATCH` events and settle them."""
    publish: float
    """To publish as many."""
    depth: float
    """To count what waits."""


def main() -> None:
    """Measure topics that are empty and that are full; print how much slower the full ones are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many are many")
    asyncio.run(_compare(parser.parse_args().events))


async def _compare(many: int) -> None:
    orders: tuple[Order, ...] = ("none", "subject")
    for engine in (REDIS, NATS):
        for order in orders:
            async with engine.transport() as transport:
                spec = TopicSpec("com.benchmark.waiting", order=order)
                await transport.declare([spec])
                empty = await _measured(transport, spec)
                await _fill(transport, spec, many)
                full = await _measured(transport, spec)
            name = f"growth.{engine.name}.waiting.{order}"
            for what in ("receive", "publish", "depth"):
                few, all_ = getattr(empty, what), getattr(full, what)
                print(
                    f"{name}.{what} {few:8.2f} ms at 0, {all_:8.2f} ms at {many:,}"
                    f"  ratio {all_ / few:.2f}",
                    flush=True,
                )


async def _measured(transport: IEventTransport, spec: TopicSpec) -> _Figures:
    """Take as many events as are put, so that as many wait in each round."""
    receive: list[float] = []
    publish: list[float] = []
    depth: list[float] = []
    async with transport.inbox(spec, prefetch=BATCH) as inbox:
        for _ in range(_ROUNDS):
            batch = [_event(spec) for _ in range(BATCH)]
            publish.append(await _milliseconds(lambda batch=batch: transport.publish(batch)))  # type: ignore[misc]
            receive.append(await _milliseconds(lambda: _settle(inbox)))
            depth.append(await _milliseconds(lambda: transport.depth(spec.name)))
        await inbox.stop()
    return _Figures(receive=median(receive), publish=median(publish), depth=median(depth))


async def _milliseconds(call: Callable[[], Awaitable[object]]) -> float:
    began = perf_counter()
    await call()
    return 1000 * (perf_counter() - began)


async def _settle(inbox: IEventInbox) -> None:
    left = BATCH
    while left:
        received = await inbox.receive(left)
        await asyncio.gather(*(inbox.settle(each, Done()) for each in received))
        left -= len(received)


async def _fill(transport: IEventTransport, spec: TopicSpec, events: int) -> None:
    for first in range(0, events, _PUBLISHED_TOGETHER):
        number = min(_PUBLISHED_TOGETHER, events - first)
        await transport.publish([_event(spec) for _ in range(number)])


def _event(spec: TopicSpec) -> ArvoEvent:
    return ArvoEvent.create(
        source="com.benchmark.client",
        type=spec.name,
        subject=f"s-{next(_numbers) % _SUBJECTS}",
        data={},
    )


if __name__ == "__main__":
    main()
