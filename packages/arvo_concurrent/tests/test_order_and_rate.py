"""Lanes by the extension `partitionkey`, and how many tries begin within a time."""

import asyncio
from datetime import timedelta

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation
from arvo_event_handler.delivery import HandlerConfig, HandlerDefaults, Rate
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Gate, Owner, broker_of, left_inside
from .stub_handler import APP, ONE, StubHandler, emitted, event, failing


def keyed(id: str, key: str | None, *, subject: str = "s") -> ArvoEvent:
    extensions = {} if key is None else {"partitionkey": key}
    return ArvoEvent.create(
        id=id, type=ONE, to=ONE, source=APP, subject=subject, data={}, extensions=extensions
    )


class TestOrderByKey:
    async def test_events_of_one_key_wait_for_each_other(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, HandlerConfig(handler, order="key")) as broker:
            await broker.publish(keyed("e1", "tenant-1", subject="a"))
            await broker.publish(keyed("e2", "tenant-1", subject="b"))
            await broker.publish(keyed("e3", "tenant-2", subject="a"))
            await clock.settle()
            assert handler.tried == ["e1", "e3"]
            gate.open()
        assert handler.tried == ["e1", "e3", "e2"]

    async def test_without_a_key_the_subject_is_the_key(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with broker_of(owner, clock, HandlerConfig(handler, order="key")) as broker:
            for sent in (keyed("e1", None), keyed("e2", None), keyed("e3", None, subject="t")):
                await broker.publish(sent)
            await broker.publish(keyed("e4", "s", subject="u"))
            await clock.settle()
            assert handler.tried == ["e1", "e3"]
            gate.open()
        assert handler.tried == ["e1", "e3", "e2", "e4"]

    async def test_the_key_means_nothing_to_a_stateful_handler(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act, stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(keyed("e1", "tenant-1"))
            await broker.publish(keyed("e2", "tenant-2"))
            await clock.settle()
            assert handler.tried == ["e1"]
            gate.open()

    @pytest.mark.parametrize("by_default", [False, True])
    def test_is_refused_for_a_stateful_handler(
        self, owner: Owner, clock: FakeClock, *, by_default: bool
    ) -> None:
        handler = StubHandler(stateful=True)
        config = HandlerConfig(handler, order=None if by_default else "key")
        defaults = HandlerDefaults(order="key" if by_default else None)
        with pytest.raises(ValueError, match=r"com\.svc\.one.*stateless"):
            broker_of(owner, clock, config, defaults=defaults)

    async def test_a_handler_that_asks_for_its_own_key_is_told_so(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.id == "e1":
                await broker.resolve(keyed("e2", "tenant-1", subject="other"))
            return [emitted(cause)]

        handler = StubHandler(act)
        config = HandlerConfig(handler, order="key", retry=RetryPolicy(retries=0))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(keyed("e1", "tenant-1"))
            await clock.run_until_complete(broker.wait_idle())
        assert isinstance(owner.letters[0].error, ConfigViolation)
        assert left_inside(broker) == {}


class TestRate:
    async def test_so_many_begin_at_once_and_then_evenly(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        config = HandlerConfig(handler, rate=Rate(4, per=SECOND))
        async with broker_of(owner, clock, config) as broker:
            for number in range(7):
                await broker.publish(event(f"e{number}"))
            begun: list[int] = []
            for _ in range(4):
                await clock.run_for(timedelta(0))
                begun.append(len(handler.tried))
                await clock.run_for(SECOND / 4)
        assert begun == [4, 5, 6, 7]

    async def test_tokens_come_back_while_nothing_happens(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        config = HandlerConfig(handler, rate=Rate(2, per=SECOND))
        async with broker_of(owner, clock, config) as broker:
            for number in range(2):
                await broker.publish(event(f"e{number}"))
            await clock.run_for(10 * SECOND)
            for number in range(2, 5):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            assert len(handler.tried) == 4
            await clock.run_for(SECOND / 2)
        assert len(handler.tried) == 5

    async def test_an_event_that_waits_for_a_token_holds_no_slot_and_is_counted(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        config = HandlerConfig(handler, prefetch=1, rate=Rate(1, per=SECOND))
        async with broker_of(owner, clock, config) as broker:
            for number in range(3):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            stats = broker.stats.topics[ONE]
            assert (stats.running, stats.queued) == (0, 2)
            await clock.run_for(2 * SECOND)
        assert handler.tried == ["e0", "e1", "e2"]

    async def test_each_further_try_takes_a_token_and_keeps_its_lane(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = failing(1, ConnectionError("no"), stateful=True)
        config = HandlerConfig(
            handler, rate=Rate(1, per=10 * SECOND), retry=RetryPolicy(backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await clock.run_for(9 * SECOND)
            assert handler.tried == ["e1"]
            await clock.run_for(30 * SECOND)
        assert handler.tried == ["e1", "e1", "e2"]
        assert left_inside(broker) == {}

    async def test_closing_gives_up_what_waits_for_a_token(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        broker = broker_of(owner, clock, HandlerConfig(handler, rate=Rate(1, per=SECOND)))
        async with broker:
            for number in range(3):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose())
            await clock.run_for(SECOND)
            await closing
        assert [letter.event.id for letter in owner.letters] == ["e1", "e2"]
        assert left_inside(broker) == {}

    def test_is_positive(self) -> None:
        with pytest.raises(ValueError, match="tries"):
            Rate(0, per=SECOND)
        with pytest.raises(ValueError, match="per"):
            Rate(1, per=timedelta(0))
        with pytest.raises(TypeError, match="per"):
            Rate(1, per=1)  # type: ignore[arg-type]

    def test_must_be_a_rate(self) -> None:
        with pytest.raises(TypeError, match=r"com\.svc\.one.*rate"):
            HandlerConfig(StubHandler(), rate=5)  # type: ignore[arg-type]
