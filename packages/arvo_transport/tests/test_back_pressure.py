"""Topics that are full: who publishes to them is to wait, and who empties them is not."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import ContractViolation
from arvo_transport import (
    InMemoryEngine,
    InMemoryTransport,
    Publisher,
    TopicDepth,
    TopicFullError,
    TopicSpec,
    TopicState,
)

from .bench import APP, ONE, SECOND, TWO, Bench, Gate, StubHandler, emitted, event, failing

FULL = TopicSpec(TWO, max_waiting=2)
DENIED = ContractViolation("no")


class Watched(InMemoryTransport):
    """Records the looks at topics and their depths."""

    def __init__(self, engine: InMemoryEngine) -> None:
        super().__init__(engine)
        self.looks: list[str] = []

    @override
    async def topics(self) -> Sequence[TopicState]:
        self.looks.append("topics")
        return await super().topics()

    @override
    async def depth(self, topic: str) -> TopicDepth:
        self.looks.append(topic)
        return await super().depth(topic)


def several(count: int, *, to: str = TWO, first: int = 0) -> list[ArvoEvent]:
    return [event(f"e{number}", to=to) for number in range(first, first + count)]


@pytest.fixture
async def publisher(bench: Bench) -> Publisher:
    await bench.declare(FULL, TopicSpec(ONE))
    return Publisher(bench.app, clock=bench.clock)


class TestPublisher:
    async def test_a_full_topic_is_refused_with_its_name_depth_and_limit(
        self, bench: Bench, publisher: Publisher
    ) -> None:
        await publisher.publish(several(2))
        with pytest.raises(TopicFullError) as caught:
            await publisher.publish([event("e2", to=TWO)])
        error = caught.value
        assert (error.topic, error.waiting, error.limit) == (TWO, 2, 2)
        assert (error.retryable, error.outcome, error.stored) == (True, "failed", ())
        assert str(error).startswith(f"the topic {TWO!r} is full: 2 events waiting, 2 allowed; ")
        assert (await bench.depth(TWO)).waiting == 2

    async def test_none_of_several_is_stored_where_one_topic_is_full(
        self, bench: Bench, publisher: Publisher
    ) -> None:
        await publisher.publish(several(2))
        with pytest.raises(TopicFullError):
            await publisher.publish([event("other"), event("e2", to=TWO)])
        assert (await bench.depth(ONE)).waiting == 0
        await publisher.publish([event("other")])
        assert (await bench.depth(ONE)).waiting == 1

    async def test_a_call_that_begins_below_the_limit_stores_all(
        self, bench: Bench, publisher: Publisher
    ) -> None:
        await publisher.publish(several(5))
        assert (await bench.depth(TWO)).waiting == 5
        with pytest.raises(TopicFullError, match="5 events waiting"):
            await publisher.publish(several(1, first=5))

    async def test_it_looks_once_a_second(self, bench: Bench) -> None:
        watched = Watched(bench.engine)
        publisher = Publisher(watched, clock=bench.clock)
        await bench.declare(replace(FULL, max_waiting=99), TopicSpec(ONE))
        for _ in range(20):
            await publisher.publish([event("e1")])
            await publisher.publish([event("e2", to=TWO)])
            await bench.clock.run_for(SECOND / 10)
        assert watched.looks == ["topics", TWO, "topics", TWO]

    async def test_others_fill_it_and_workers_empty_it(
        self, bench: Bench, publisher: Publisher
    ) -> None:
        await publisher.publish(several(1))
        await bench.app.publish(several(5, first=1))
        await publisher.publish(several(1, first=6))  # as far as it knows, one waits
        await bench.clock.run_for(SECOND)
        with pytest.raises(TopicFullError, match="7 events waiting"):
            await publisher.publish(several(1, first=7))
        async with bench.worker(StubHandler(source=TWO), max_waiting={TWO: 2}):
            await bench.clock.run_for(SECOND)
            await publisher.publish(several(1, first=7))

    async def test_copies_and_events_for_later_are_published_as_they_are(
        self, bench: Bench, publisher: Publisher
    ) -> None:
        await publisher.publish([event("e1")])
        await publisher.publish([event("e1")])
        await publisher.publish([event("e1")], again="client:2")
        await publisher.publish([event("e2")], at=bench.clock.now() + SECOND)
        depth = await bench.depth(ONE)
        assert (depth.waiting, depth.delayed) == (2, 1)

    async def test_answers_are_never_too_many(self, bench: Bench, publisher: Publisher) -> None:
        await bench.declare(TopicSpec(APP, kind="answers", max_waiting=1))
        for number in range(3):
            await publisher.publish([emitted(event(f"e{number}"))])
        assert await bench.answer_to("e2") is not None


class TestBroker:
    async def test_its_handlers_have_limits_and_its_publish_keeps_them(self, bench: Bench) -> None:
        gate = Gate()
        one, two = StubHandler(gate.act), StubHandler(gate.act, source=TWO)
        async with bench.worker(one, two, max_waiting={ONE: 3}) as broker:
            limits = {each.name: each.max_waiting for each in await bench.app.topics()}
            assert limits == {"in": None, ONE: 3, TWO: None}
            # What the worker has in hand does not wait.
            await broker.publish(several(24 + 3, to=ONE))
            await bench.clock.run_for(SECOND)
            with pytest.raises(TopicFullError, match="3 events waiting"):
                await broker.publish(several(1, to=ONE, first=90))
            await broker.publish(several(100))
            gate.open()
            await bench.clock.settle()
        assert len(one.tried) == 27

    async def test_what_handlers_emit_and_what_is_redriven_is_never_refused(
        self, bench: Bench
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO, type=TWO) for index in range(5)]

        await bench.declare(FULL)
        async with bench.worker(failing(1, DENIED, source=TWO), max_waiting=2):
            await bench.send(event("dead", to=TWO))
        [letter] = await bench.dead()
        await bench.app.publish(several(9))
        async with bench.worker(StubHandler(act)):
            await bench.send(event("e"))
        await bench.app.redrive([letter.key])
        assert (await bench.depth(TWO)).waiting == 9 + 5 + 1

    async def test_one_number_is_for_all_handlers(self, bench: Bench) -> None:
        async with bench.worker(StubHandler(), StubHandler(source=TWO), max_waiting=7):
            limits = {each.name: each.max_waiting for each in await bench.app.topics()}
        assert limits == {"in": None, ONE: 7, TWO: 7}

    @pytest.mark.parametrize(
        ("max_waiting", "error", "message"),
        [
            (0, ValueError, "max_waiting must be at least 1"),
            ({ONE: 0}, ValueError, f"max_waiting['{ONE}'] must be at least 1"),
            ({TWO: 1}, ValueError, f"no handler has the source '{TWO}'; there are {ONE}"),
            ("many", TypeError, "max_waiting must be an int"),
        ],
        ids=["zero", "zero-of-one", "unknown", "text"],
    )
    def test_a_wrong_limit(
        self, bench: Bench, max_waiting: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=re.escape(message)):
            bench.broker(StubHandler(), max_waiting=max_waiting)
