"""How many events of a handler run at the same time, and in which order."""

import asyncio

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import ExecutionViolation
from arvo_event_handler.delivery import HandlerConfig, HandlerDefaults
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Gate, Owner, broker_of, left_inside
from .stub_handler import APP, ONE, TWO, StubHandler, emitted, event, failing


class TestSlotsAndLanes:
    async def test_at_most_prefetch_events_are_handled_at_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=3)) as broker:
            for number in range(10):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            assert (handler.running, broker.stats.topics[ONE].queued) == (3, 7)
            gate.open()
        assert (len(handler.tried), handler.most_at_once) == (10, 3)

    async def test_a_sleeping_retry_holds_no_slot(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(1, ConnectionError("no"))
        config = HandlerConfig(handler, prefetch=1, retry=RetryPolicy(backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await clock.settle()
            assert handler.tried == ["e1", "e2"]
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == ["e1", "e2", "e1"]

    async def test_a_lane_stays_closed_behind_its_sleeping_head(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(1, ConnectionError("no"), stateful=True)
        config = HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1", subject="a"))
            await broker.publish(event("e2", subject="a"))
            await broker.publish(event("e3", subject="b"))
            await clock.settle()
            assert handler.tried == ["e1", "e3"]
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == ["e1", "e3", "e1", "e2"]

    async def test_a_dead_head_opens_its_lane(self, owner: Owner, clock: FakeClock) -> None:
        handler = failing(1, ExecutionViolation("no", retryable=False), stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
        assert handler.tried == ["e1", "e2"]

    @pytest.mark.parametrize(
        ("stateful", "order", "at_once"),
        [(True, None, 1), (False, None, 5), (True, "none", 5), (False, "subject", 1)],
    )
    async def test_the_order_of_a_subject(
        self, owner: Owner, clock: FakeClock, stateful: bool, order: str | None, at_once: int
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await clock.sleep(SECOND)
            return []

        handler = StubHandler(act, stateful=stateful)
        config = HandlerConfig(handler, order=order)  # type: ignore[arg-type] # one of the two
        async with broker_of(owner, clock, config) as broker:
            for number in range(5):
                await broker.publish(event(f"e{number}"))
            await clock.run_until_complete(broker.wait_idle())
        assert handler.tried == [f"e{number}" for number in range(5)]
        assert handler.most_at_once == at_once

    @pytest.mark.parametrize("prefetch", [0, -1])
    async def test_a_prefetch_below_one_is_refused(self, prefetch: int) -> None:
        with pytest.raises(ValueError, match="prefetch must be at least 1"):
            HandlerConfig(StubHandler(), prefetch=prefetch)
        with pytest.raises(ValueError, match="prefetch must be at least 1"):
            HandlerDefaults(prefetch=prefetch)


class TestGrowth:
    async def test_a_fan_out_of_a_thousand(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO) for index in range(1_000)]

        two = StubHandler(source=TWO)
        async with broker_of(owner, clock, StubHandler(act), two) as broker:
            await broker.publish(event("e1"))
        assert len(two.tried) == 1_000

    async def test_a_chain_of_a_thousand_hops(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            number = int(cause.id)
            if number == 1_000:
                return [event("answer", to=APP)]
            return [event(str(number + 1))]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            answer = await broker.resolve(event("1"))
        assert answer is not None

    async def test_a_thousand_subjects_leave_no_lane(self, owner: Owner, clock: FakeClock) -> None:
        handler = StubHandler(stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            for number in range(1_000):
                await broker.publish(event(f"e{number}", subject=f"s{number}"))
            await broker.wait_idle()
            assert broker._router.topics[ONE]._lanes == {}

    async def test_fan_outs_and_chains_leave_nothing(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            hops = cause.id.count(">")
            if hops == 3:
                return [emitted(cause)]
            return [emitted(cause, index, to=ONE) for index in range(10)]

        handler = failing(50, ConnectionError("no"), stateful=True)
        fragile = HandlerConfig(handler, retry=RetryPolicy(retries=0))
        config = HandlerConfig(StubHandler(act, source=TWO), prefetch=8)
        async with broker_of(owner, clock, fragile, config) as broker:
            await broker.publish(event("e1", to=TWO))
            await broker.wait_idle()
            assert left_inside(broker) == {}

    async def test_handlers_that_never_wait_let_others_run_now_and_then(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            for number in range(1_000):
                await broker.publish(event(f"e{number}"))
            await asyncio.sleep(0)
            assert 0 < len(handler.tried) < 1_000
