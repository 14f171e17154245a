"""What the transport in the process has beyond what every transport promises."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_time.testing import FakeClock
from arvo_transport import (
    DOOR,
    DeliveryLostError,
    Done,
    InMemoryEngine,
    InMemoryTransport,
    TopicSpec,
    TransportClosedError,
    UnknownTopicError,
    connect_transport,
)

PATIENCE = timedelta(seconds=15)
PAY = TopicSpec("com.svc.pay")
ORDER = TopicSpec("com.svc.order", order="subject")


def event(number: int, *, topic: TopicSpec = PAY, subject: str = "order-7") -> ArvoEvent:
    return ArvoEvent.create(
        id=f"event-{number}", source="com.shop", type=topic.name, subject=subject, data={}
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine(clock: FakeClock) -> InMemoryEngine:
    return InMemoryEngine(clock=clock)


async def test_a_killed_worker_keeps_its_events_until_it_is_missed(
    engine: InMemoryEngine, clock: FakeClock
) -> None:
    killed, other = InMemoryTransport(engine), InMemoryTransport(engine)
    await killed.declare([ORDER])
    await killed.publish([event(1, topic=ORDER), event(2, topic=ORDER)])
    async with killed.inbox(ORDER, prefetch=1) as dying, other.inbox(ORDER, prefetch=1) as inbox:
        [held] = await dying.receive(1)
        killed.kill()
        with pytest.raises(TransportClosedError):
            await dying.settle(held, Done())
        taking = asyncio.ensure_future(inbox.receive(5))
        await clock.run_for(PATIENCE - timedelta(microseconds=1))
        assert not taking.done()
        await clock.run_for(timedelta(microseconds=1))
        taken = await taking
        assert [(each.event.id, each.deliveries) for each in taken] == [
            ("event-1", 2),
            ("event-2", 1),
        ]


async def test_what_waits_for_a_killed_client_is_ended(engine: InMemoryEngine) -> None:
    transport = InMemoryTransport(engine)
    await transport.declare([PAY, TopicSpec("com.shop", kind="answers")])
    async with transport.inbox(PAY, prefetch=1) as inbox, transport.answers("com.shop") as box:
        waiting = [asyncio.ensure_future(inbox.receive(1)), asyncio.ensure_future(box.wait("1"))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport.kill()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in ended] == [TransportClosedError, TransportClosedError]


async def test_a_frozen_worker_is_refused_when_it_wakes(
    engine: InMemoryEngine, clock: FakeClock
) -> None:
    transport = InMemoryTransport(engine)
    await transport.declare([PAY])
    await transport.publish([event(1)])
    async with transport.inbox(PAY, prefetch=1) as inbox:
        [held] = await inbox.receive(1)
        clock.advance(PATIENCE)
        with pytest.raises(DeliveryLostError):
            await inbox.settle(held, Done())
        assert await inbox.extend([held]) == [held]


async def test_a_receive_that_was_cancelled_is_not_counted(engine: InMemoryEngine) -> None:
    transport = InMemoryTransport(engine)
    await transport.declare([PAY])
    await transport.publish([event(1)])
    async with transport.inbox(PAY, prefetch=1) as inbox:
        for turns in range(3):
            receiving = asyncio.ensure_future(inbox.receive(1))
            for _ in range(turns):
                await asyncio.sleep(0)
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            depth = await transport.depth(PAY.name)
            assert (depth.waiting, depth.in_hand) == (1, 0)
        [received] = await inbox.receive(1)
        assert received.deliveries == 1


async def test_answers_are_forgotten_when_their_time_is_over(clock: FakeClock) -> None:
    transport = InMemoryTransport(InMemoryEngine(clock=clock, answers_kept=timedelta(minutes=1)))
    await transport.declare([TopicSpec("com.shop.web", kind="answers")])
    answer = ArvoEvent.create(
        source="com.svc.pay",
        type="evt.pay.success",
        to="com.shop.web",
        subject="order-7",
        parentid="request-1",
        data={},
    )
    await transport.publish([answer])
    async with transport.answers("com.shop.web") as box:
        clock.advance(timedelta(seconds=59))
        assert await box.get("request-1") == answer
        clock.advance(timedelta(seconds=1))
        assert await box.get("request-1") is None


async def test_an_old_look_at_a_lease_does_not_end_a_new_one(
    engine: InMemoryEngine, clock: FakeClock
) -> None:
    """A subject that is settled and taken again is held for the whole patience."""
    transport = InMemoryTransport(engine)
    await transport.declare([ORDER])
    await transport.publish([event(1, topic=ORDER), event(2, topic=ORDER)])
    async with transport.inbox(ORDER, prefetch=1) as inbox:
        [first] = await inbox.receive(1)
        clock.advance(PATIENCE / 2)
        await inbox.settle(first, Done())
        [second] = await inbox.receive(1)
        clock.advance(PATIENCE / 2)
        assert await inbox.extend([second]) == []


async def test_a_topic_without_order_has_one_partition(engine: InMemoryEngine) -> None:
    transport = InMemoryTransport(engine)
    await transport.declare([PAY])
    with pytest.raises(ValueError, match="so it has one partition, not 8"):
        await transport.relayout(PAY.name, partitions=8)
    await transport.relayout(PAY.name, order="key")
    assert [each.partitions for each in await transport.topics()] == [64]


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"clock": FakeClock}, TypeError),
        ({"patience": 15}, TypeError),
        ({"patience": timedelta(0)}, ValueError),
        ({"partitions": 0}, ValueError),
        ({"max_event_bytes": 0}, ValueError),
        ({"answers_kept": timedelta(0)}, ValueError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.__name__,
)
def test_wrong_settings_are_refused(settings: Any, refusal: type[Exception]) -> None:
    with pytest.raises(refusal, match=next(iter(settings))):
        InMemoryEngine(**settings)


def test_a_transport_needs_an_engine() -> None:
    wrong: Any = InMemoryEngine
    with pytest.raises(TypeError, match="engine must be an InMemoryEngine"):
        InMemoryTransport(wrong)


async def test_bytes_from_outside_wait_at_the_door(engine: InMemoryEngine) -> None:
    transport = InMemoryTransport(engine)
    with pytest.raises(UnknownTopicError):
        engine.put(b"{}")
    await transport.declare([TopicSpec(DOOR)])
    engine.put(event(1).to_json().encode())
    engine.put(b"no event")
    assert [each.id for each in await transport.peek(DOOR)] == ["event-1"]
    [letter] = await transport.dead_letters(DOOR, reason="unparsable")
    assert letter.raw == b"no event"


async def test_a_memory_url_has_an_engine_of_its_own() -> None:
    async with (
        connect_transport("memory:?partitions=8&namespace=shop") as first,
        connect_transport("memory:") as second,
    ):
        await first.declare([ORDER])
        assert [each.partitions for each in await first.topics()] == [8]
        assert await second.topics() == []
    with pytest.raises(TransportClosedError):
        await first.ping()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memory:here", "no name"),
        ("memory:?speed=9", "unknown option 'speed'"),
        ("memory:?partitions=many", "partitions must be a number"),
        ("memory:?partitions=0", "partitions must be at least 1"),
        ("memory:?namespace=a_b", "letters, digits and `-`"),
    ],
)
def test_a_bad_memory_url_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        connect_transport(url)
