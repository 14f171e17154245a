"""Events that end their workers are found, and no other is blamed for them."""

import asyncio

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import HandlerConfig
from arvo_time import RetryPolicy
from arvo_transport import TopicSpec, TransportClosedError

from .bench import (
    ONE,
    PATIENCE,
    SECOND,
    STEADY,
    TWO,
    Bench,
    Gate,
    HookedTransport,
    StubHandler,
    event,
)


async def work_until_killed(
    bench: Bench, killers: set[str], *, stateful: bool, count: int
) -> tuple[list[str], int, dict[str, int]]:
    """Start worker after worker; each dies as soon as it runs a killer.

    Returns:
        What was handled, how many workers died, and how often each event was delivered at most.
    """
    handled: list[str] = []
    deliveries: dict[str, int] = {}
    deaths = 0
    while True:
        transport = HookedTransport(bench.engine)

        async def act(cause: ArvoEvent, transport: HookedTransport = transport) -> list[ArvoEvent]:
            await bench.clock.sleep(SECOND / 10)
            if cause.id in killers:
                transport.kill()
                await asyncio.Event().wait()
            handled.append(cause.id)
            return []

        config = HandlerConfig(StubHandler(act, stateful=stateful), prefetch=count)
        beside = StubHandler(act, source=TWO)
        async with bench.broker(config, beside, transport=transport) as broker:
            running = asyncio.create_task(broker.run())
            for _ in range(100):
                await bench.clock.run_for(SECOND)
                for topic in broker._worker.topics:
                    for held in topic._held:
                        seen = deliveries.get(held.event.id, 0)
                        deliveries[held.event.id] = max(seen, held.deliveries)
                depths = [await bench.depth(name) for name in (ONE, TWO)]
                if running.done() or not any(each.waiting + each.in_hand for each in depths):
                    break
            if not running.done():
                await bench.clock.run_until_complete(broker.drain())
                await running
                return handled, deaths, deliveries
            assert isinstance(running.exception(), TransportClosedError)
            deaths += 1


class TestSuspects:
    @pytest.mark.parametrize("stateful", [False, True], ids=["unordered", "ordered"])
    async def test_one_of_many_in_hand_kills_its_worker_each_time(
        self, bench: Bench, *, stateful: bool
    ) -> None:
        async with bench.worker(StubHandler(stateful=stateful), StubHandler(source=TWO)):
            pass
        names = [f"e{number}" for number in range(32)]
        await bench.send(*(event(id, subject=id) for id in names))
        await bench.send(*(event(f"b{number}", to=TWO) for number in range(4)))
        handled, deaths, deliveries = await work_until_killed(
            bench, {"e7"}, stateful=stateful, count=32
        )
        assert [(letter.event.id, letter.reason) for letter in bench.letters] == [
            ("e7", "redelivered too often")
        ]
        [letter] = await bench.dead()
        assert (letter.attempts, letter.deliveries) == (0, 7)
        assert set(handled) == {*names, "b0", "b1", "b2", "b3"} - {"e7"}
        assert deaths == 6
        # Three deaths accuse all; from then on the count of what is tried alone rises.
        assert max(count for id, count in deliveries.items() if id != "e7") == 4

    async def test_a_suspect_is_alone_until_its_first_try_has_ended(self, bench: Bench) -> None:
        gate = Gate()
        first, others = StubHandler(gate.act), StubHandler(source=TWO)
        async with bench.worker(first, others):
            gate.open()
        await bench.send(event("e1"), event("e2"), event("b1", to=TWO))
        # As if three workers had died, with e1 in hand.
        for _ in range(3):
            dying = HookedTransport(bench.engine)
            opening = dying.inbox(TopicSpec(ONE), prefetch=1)
            inbox = await opening.__aenter__()
            [received] = await inbox.receive(1)
            assert received.event.id == "e1"
            dying.kill()
            await bench.clock.run_for(PATIENCE)
        suspecting = Gate()
        handler = StubHandler(suspecting.act)
        beside = StubHandler(source=TWO)
        async with bench.worker(handler, beside) as broker:
            await bench.clock.run_for(SECOND)
            assert handler.tried == ["e1"]
            assert broker.stats.unfinished == 1
            await bench.send(event("b2", to=TWO))
            assert "b2" not in beside.tried
            suspecting.open()
            await bench.clock.run_for(SECOND)
            assert handler.tried == ["e1", "e2"]
        assert sorted(beside.tried) == ["b1", "b2"]

    async def test_a_suspect_that_fails_is_acquitted_and_tried_again_as_any(
        self, bench: Bench
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.id == "e1" and handler.tried.count("e1") == 1:
                raise ConnectionError("no")
            return []

        async with bench.worker(StubHandler()):
            pass
        await bench.send(event("e1"))
        for _ in range(3):
            dying = HookedTransport(bench.engine)
            inbox = await dying.inbox(TopicSpec(ONE), prefetch=1).__aenter__()
            await inbox.receive(1)
            dying.kill()
            await bench.clock.run_for(PATIENCE)
        handler = StubHandler(act)
        config = HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))
        async with bench.worker(config):
            await bench.clock.settle()
            await bench.send(event("e2"))
            assert handler.tried == ["e1", "e2"]
            await bench.clock.run_for(SECOND)
        assert handler.tried == ["e1", "e2", "e1"]
        assert bench.letters == []
