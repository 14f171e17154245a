"""Whatever fails, every event has its effect once, and in order."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest

from arvo_event_store import (
    PER_EVENT,
    Aggregate,
    Batch,
    Event,
    EventConsumer,
    Lane,
    MemoryEventStore,
    NewEvent,
    Postpone,
    Projection,
    Reaction,
    ReactionCall,
    ReactionWorker,
)
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

from .faulty_store import FaultyStore

SEEDS = 2_000 if os.environ.get("ARVO_FULL") == "1" else 200
EVENTS = 12
GROUP = "g"


@dataclass(frozen=True)
class Added:
    number: int


@dataclass(frozen=True)
class Handled:
    number: int


@dataclass(frozen=True)
class Summed:
    number: int


sums = Aggregate(
    category="sum",
    events=[Summed],
    initial=int,
    evolve=lambda total, event: total + event.number,
)
STEADY = RetryPolicy(
    retries=1_000,
    backoff=Backoff(initial=timedelta(milliseconds=10), maximum=timedelta(seconds=1)),
)


def keys_of(event: Event) -> list[str]:
    number: int = event.data["number"]
    return [f"{number % 2}", f"{number % 3}"] if number % 5 else []


@dataclass
class Storm:
    """One run: writers, workers that fail and die, and what must be there in the end."""

    seed: int
    calm: bool = False
    projected: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.draw = Random(f"storm {self.seed}")
        self.store = MemoryEventStore(clock=self.clock)
        self.workers: list[ReactionWorker] = []

    def random(self) -> float:
        return self.draw.random()

    async def trouble(self) -> None:
        """Do to a handler what can happen to one."""
        if self.calm:
            return
        what = self.random()
        if what < 0.15:
            raise ValueError("by chance")
        if what < 0.2:
            raise Postpone(after=timedelta(milliseconds=self.draw.randrange(2_000)))
        if what < 0.5:
            try:
                await self.clock.sleep(timedelta(milliseconds=self.draw.randrange(1, 3_000)))
            except asyncio.CancelledError:
                if self.random() < 0.5:
                    raise

    def consumers(self) -> list[EventConsumer]:
        async def copy(call: ReactionCall[Added]) -> None:
            await self.trouble()
            call.emit(f"copy-{call.event.stream}", Handled(call.data.number))

        async def each(call: ReactionCall[Added]) -> None:
            call.emit("each", Handled(call.data.number))
            await self.trouble()

        async def keyed(call: ReactionCall[Added]) -> None:
            await self.trouble()
            call.emit(f"key-{call.key}", Handled(call.data.number))

        async def sum_up(call: ReactionCall[Added]) -> None:
            await self.trouble()
            await sums.act(call, "all", lambda _: [Summed(call.data.number)])

        async def project(batch: Batch[Handled]) -> None:
            self.projected += [item.event.position for item in batch]
            await self.trouble()

        return [
            Reaction(name="copy", on=[Added], handler=copy, retry=STEADY),
            Reaction(name="each", on=[Added], handler=each, to=PER_EVENT, retry=STEADY, lane="e"),
            Reaction(name="keyed", on=[Added], handler=keyed, to=keys_of, retry=STEADY),
            Reaction(name="sum", on=[Added], handler=sum_up, retry=STEADY),
            Projection(name="project", on=[Handled], handler=project, retry=STEADY),
        ]

    async def start(self) -> None:
        far = FaultyStore(
            self.store, clock=self.clock, random=self.draw, odds=0.0 if self.calm else 0.05
        )
        lanes = {
            "default": Lane(concurrency=4, max_events=5, ttl=timedelta(seconds=2)),
            "e": Lane(concurrency=3, ttl=timedelta(seconds=2)),
        }
        worker = ReactionWorker(
            far,
            group=GROUP,
            reactions=self.consumers(),
            lanes=lanes,
            clock=self.clock,
            random=self.draw,
            grace=timedelta(seconds=self.draw.choice((0, 1))),
        )
        try:
            await worker.__aenter__()
        except Exception:
            return
        self.workers.append(worker)

    async def stop(self) -> None:
        worker = self.workers.pop(self.draw.randrange(len(self.workers)))
        await worker.__aexit__(None, None, None)

    async def kill(self) -> None:
        """Let a worker vanish, with all that it had in hand."""
        worker = self.workers.pop(self.draw.randrange(len(self.workers)))
        engine = worker._engine
        assert engine is not None
        tasks = [*engine._tasks, *(task for drain in engine._drains for task in drain._runs)]
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)

    async def write(self) -> None:
        for number in range(EVENTS):
            stream = f"s{self.draw.randrange(4)}"
            await self.store.append(stream, [NewEvent("Added", {"number": number})])
            if self.random() < 0.5:
                await self.clock.sleep(timedelta(milliseconds=self.draw.randrange(500)))

    async def rage(self) -> None:
        while not self.calm:
            steps: list[Callable[[], Awaitable[None]]] = [self.stop, self.kill]
            if len(self.workers) < 3:
                steps = [self.start, *steps] if self.workers else [self.start]
            await self.draw.choice(steps)()
            await self.clock.sleep(timedelta(milliseconds=self.draw.randrange(3_000)))

    async def run(self) -> None:
        await self.start()
        raging = asyncio.create_task(self.rage())
        await self.write()
        await self.clock.sleep(timedelta(seconds=3))
        self.calm = True
        await raging
        while self.workers:
            await self.stop()
        await self.start()
        for _ in range(60):
            await self.workers[0].settle()
            if await self.is_done():
                break
            await self.clock.sleep(timedelta(seconds=1))
        else:
            raise AssertionError(f"it does not converge: {await self.store.lag(GROUP)}")
        await self.stop()

    async def is_done(self) -> bool:
        lags = await self.store.lag(GROUP)
        return not any(each.unscanned or each.pending or each.asleep for each in lags)

    async def check(self) -> None:
        added = [each async for each in self.store.read_all() if each.name == "Added"]
        assert sorted(each.data["number"] for each in added) == list(range(EVENTS))
        for stream in {each.stream for each in added}:
            numbers = [each.data["number"] for each in added if each.stream == stream]
            assert await self.numbers(f"copy-{stream}") == numbers, stream
        assert sorted(await self.numbers("each")) == list(range(EVENTS))
        for key in ("0", "1", "2"):
            numbers = [each.data["number"] for each in added if key in keys_of(each)]
            assert await self.numbers(f"key-{key}") == numbers, key
        assert sorted(await self.numbers("sum-all")) == list(range(EVENTS))
        handled = [each.position async for each in self.store.read_all() if each.name == "Handled"]
        assert {*self.projected} == {*handled}
        last = {position: number for number, position in enumerate(self.projected)}
        assert sorted(handled, key=lambda position: last[position]) == handled
        assert [each async for each in self.store.parked(GROUP)] == []
        targets = Counter([each.reaction async for each in self.store.targets(GROUP)])
        assert targets["each"] == 0
        assert [each async for each in self.store.targets(GROUP, blocked=True)] == []

    async def numbers(self, stream: str) -> list[int]:
        return [each.data["number"] async for each in self.store.read(stream)]


@pytest.mark.scaled
@pytest.mark.parametrize("block", range(10))
async def test_drains_converge_under_random_failures(block: int) -> None:
    """P2: each event has its stored effect once, in the order of its target; nothing starves."""
    for seed in range(block, SEEDS, 10):
        storm = Storm(seed)
        try:
            await storm.clock.run_until_complete(storm.run())
            await storm.check()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
