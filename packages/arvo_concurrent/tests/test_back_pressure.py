"""Events from outside wait for a place; no handler waits for itself."""

import asyncio

import pytest

from arvo_concurrent import QueueFullError
from arvo_core import ArvoEvent
from arvo_event_handler.delivery import BrokerClosedError, HandlerConfig
from arvo_time.testing import FakeClock

from .broker_owner import Gate, Owner, broker_of, left_inside
from .stub_handler import TWO, StubHandler, emitted, event


class TestBackPressure:
    async def test_publish_waits_for_a_place_first_come_first_served(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(5)
            ]
            await clock.settle()
            assert (broker.stats.queued, handler.running) == (1, 1)
            assert [task.done() for task in tasks].count(False) == 3
            gate.open()
            await asyncio.gather(*tasks)
        assert handler.tried == [f"e{number}" for number in range(5)]

    async def test_publish_nowait_raises(self, owner: Owner, clock: FakeClock) -> None:
        async with broker_of(owner, clock, StubHandler(), max_queued=1) as broker:
            broker.publish_nowait(event("e1"))
            with pytest.raises(QueueFullError, match="max_queued"):
                broker.publish_nowait(event("e2"))

    async def test_outputs_are_always_taken(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO) for index in range(10)]

        two = StubHandler(source=TWO)
        async with broker_of(owner, clock, StubHandler(act), two, max_queued=1) as broker:
            for number in range(3):
                await broker.publish(event(f"e{number}"))
        assert len(two.tried) == 30

    async def test_who_stops_waiting_leaves_the_place_to_the_next(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(4)
            ]
            await clock.settle()
            tasks[2].cancel()
            gate.open()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert handler.tried == ["e0", "e1", "e3"]
        assert broker.stats.queued == 0

    async def test_outputs_count_against_those_from_outside(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO) for index in range(3)]

        async def wait(cause: ArvoEvent) -> list[ArvoEvent]:
            await gate.opened()
            return []

        slow = HandlerConfig(StubHandler(wait, source=TWO), prefetch=1)
        async with broker_of(owner, clock, StubHandler(act), slow, max_queued=2) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            assert broker.stats.queued == 2
            with pytest.raises(QueueFullError):
                broker.publish_nowait(event("e2"))
            gate.open()

    async def test_a_place_that_is_given_and_given_up_at_once_is_free_again(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.id == "e1":
                await gate.opened()
            if cause.id == "e2":
                asking.cancel()  # it has its place since the worker took this event
            return []

        config = HandlerConfig(StubHandler(act), prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.publish(event("e2"))
            asking = asyncio.create_task(broker.publish(event("e3")))
            await clock.settle()
            gate.open()
            await asyncio.wait([asking])
            assert asking.cancelled()
            await broker.wait_idle()
            assert left_inside(broker) == {}

    async def test_a_drain_turns_away_at_once_who_waits_for_a_place(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        config = HandlerConfig(handler, prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.publish(event("e2"))
            asking = asyncio.create_task(broker.publish(event("e3")))
            await clock.settle()
            draining = asyncio.create_task(broker.drain())
            with pytest.raises(BrokerClosedError):
                await asking
            assert handler.running == 1
            gate.open()
            await draining
        assert handler.tried == ["e1", "e2"]
