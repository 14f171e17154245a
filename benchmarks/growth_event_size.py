"""What a hop costs as events grow. Run: python -m benchmarks.growth_event_size."""

import argparse
import asyncio
from collections.abc import Sequence
from statistics import median
from time import perf_counter

from arvo_core import ArvoEvent
from arvo_transport import Done, IEventInbox, Output, TopicSpec
from benchmarks.transports import NATS, REDIS

_ROUNDS = 7
_IN_THE_RING = 8
_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_BESIDE_THE_TEXT = 600
_MOST_HOPS = 2_000
_RING = TopicSpec("com.benchmark.large")


def main() -> None:
    """Print what it costs to take events of each size and to settle each with one like it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=20, help="how much a round moves")
    asyncio.run(_compare(parser.parse_args().megabytes * 1_000_000))


async def _compare(moved: float) -> None:
    for engine in (REDIS, NATS):
        for wanted in _SIZES:
            async with engine.transport() as transport:
                # NATS takes a little less than 1 MB, as a letter must fit beside its event.
                size = min(wanted, transport.capabilities.max_event_bytes)
                await transport.declare([_RING])
                for event in _events(size, _IN_THE_RING):
                    await transport.publish([event])
                async with transport.inbox(_RING, prefetch=_IN_THE_RING) as inbox:
                    hops = max(_IN_THE_RING, min(_MOST_HOPS, int(moved / size)))
                    taken = [await _seconds(inbox, _events(size, hops)) for _ in range(_ROUNDS)]
                    await inbox.stop()
            hop = median(taken) / hops
            print(
                f"growth.{engine.name}.size {size:9,} bytes: {1 / hop:8,.0f} hops/s,"
                f" {1000 * hop:8.3f} ms each, {size / hop / 1_000_000:6.1f} MB/s",
                flush=True,
            )


async def _seconds(inbox: IEventInbox, events: Sequence[ArvoEvent]) -> float:
    """Take as many events as are given, and settle each with one of them."""
    began = perf_counter()
    left = [Output(event, topic=_RING.name) for event in events]
    while left:
        received = await inbox.receive(min(_IN_THE_RING, len(left)))
        await asyncio.gather(*(inbox.settle(each, Done(outputs=[left.pop()])) for each in received))
    return perf_counter() - began


def _events(size: int, number: int) -> list[ArvoEvent]:
    text = "x" * (size - _BESIDE_THE_TEXT)
    return [
        ArvoEvent.create(
            source="com.benchmark.client", type=_RING.name, subject="s", data={"text": text}
        )
        for _ in range(number)
    ]


if __name__ == "__main__":
    main()
