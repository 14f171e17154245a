"""What events cost as topics pile up. Run: python -m benchmarks.growth_topics."""

import argparse
import asyncio
from itertools import cycle, islice
from statistics import median
from time import perf_counter

from arvo_core import ArvoEvent
from arvo_transport import Done, IEventInbox, IEventTransport, TopicSpec
from benchmarks.transports import BATCH, NATS, REDIS

_ROUNDS = 7
_EVENTS = 4 * BATCH
_AT_A_TIME = 100


def main() -> None:
    """Declare some topics and then more; print what declaring, listing, publishing and a hop cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=1_000, help="how many are many")
    asyncio.run(_compare(parser.parse_args().topics))


async def _compare(many: int) -> None:
    steps = sorted({min(step, many) for step in (1, 10, 100, many)})
    for engine in (REDIS, NATS):
        async with engine.transport() as transport:
            specs = [TopicSpec(f"com.topic.n{number}") for number in range(many)]
            declared = 0
            for step in steps:
                began = perf_counter()
                for first in range(declared, step, _AT_A_TIME):
                    await transport.declare(specs[first : min(first + _AT_A_TIME, step)])
                declaring = 1000 * (perf_counter() - began) / (step - declared)
                declared = step
                listing = await _milliseconds_to_list(transport)
                publishing = await _publications_per_second(transport, specs[:step])
                hops = await _settled_per_second(transport, specs[0])
                print(
                    f"growth.{engine.name}.topics {step:6,}: declare {declaring:7.2f} ms a topic,"
                    f" list {listing:8.1f} ms, publish {publishing:7,.0f}/s,"
                    f" receive and settle {hops:7,.0f}/s",
                    flush=True,
                )


async def _milliseconds_to_list(transport: IEventTransport) -> float:
    taken: list[float] = []
    for _ in range(_ROUNDS):
        began = perf_counter()
        await transport.topics()
        taken.append(perf_counter() - began)
    return 1000 * median(taken)


async def _publications_per_second(transport: IEventTransport, specs: list[TopicSpec]) -> float:
    """Publish to all topics in turn; to all once more where there are more topics than events."""
    taken: list[float] = []
    for _ in range(_ROUNDS):
        events = [_event(spec) for spec in islice(cycle(specs), max(_EVENTS, len(specs)))]
        began = perf_counter()
        for first in range(0, len(events), BATCH):
            await transport.publish(events[first : first + BATCH])
        taken.append((perf_counter() - began) / len(events))
    return 1 / median(taken)


async def _settled_per_second(transport: IEventTransport, spec: TopicSpec) -> float:
    """Empty a topic, while it is as full each time, beside the others."""
    taken: list[float] = []
    async with transport.inbox(spec, prefetch=2 * BATCH) as inbox:
        await _settle(inbox, (await transport.depth(spec.name)).waiting)
        for _ in range(_ROUNDS):
            await transport.publish([_event(spec) for _ in range(_EVENTS)])
            began = perf_counter()
            await _settle(inbox, _EVENTS)
            taken.append((perf_counter() - began) / _EVENTS)
        await inbox.stop()
    return 1 / median(taken)


async def _settle(inbox: IEventInbox, count: int) -> None:
    while count:
        received = await inbox.receive(min(BATCH, count))
        await asyncio.gather(*(inbox.settle(each, Done()) for each in received))
        count -= len(received)


def _event(spec: TopicSpec) -> ArvoEvent:
    return ArvoEvent.create(
        source="com.benchmark.client", type=spec.name, subject="s", data={"note": "x" * 400}
    )


if __name__ == "__main__":
    main()
