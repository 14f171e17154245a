"""The way of an event: published, received, settled."""

from datetime import UTC, datetime, timedelta

import pytest

from arvo_transport import (
    Dead,
    DeliveryLostError,
    Done,
    Later,
    TopicSpec,
)
from arvo_transport_redis import RedisTransport

from .events import TOPIC, event, letter_of, number_of, outputs, receive_all

ORDERED = TopicSpec(TOPIC, order="subject")
UNORDERED = TopicSpec(TOPIC)


@pytest.fixture(params=[ORDERED, UNORDERED], ids=["ordered", "unordered"])
async def spec(request: pytest.FixtureRequest, transport: RedisTransport) -> TopicSpec:
    chosen: TopicSpec = request.param
    await transport.declare([chosen])
    return chosen


async def test_events_of_one_subject_come_in_order(
    transport: RedisTransport, spec: TopicSpec
) -> None:
    await transport.publish([event(number) for number in range(10)])
    async with transport.inbox(spec, prefetch=4) as inbox:
        found = await receive_all(inbox, 10)
        assert [number_of(each) for each in found] == list(range(10))
        assert {each.deliveries for each in found} == {1}
        for each in found:
            await inbox.settle(each, Done())
    depth = await transport.depth(TOPIC)
    assert (depth.waiting, depth.in_hand, depth.dead) == (0, 0, 0)


async def test_outputs_are_stored_with_the_acknowledgement(
    transport: RedisTransport, spec: TopicSpec
) -> None:
    await transport.declare([TopicSpec("com.pay")])
    await transport.publish([event()])
    async with transport.inbox(spec, prefetch=4) as inbox:
        [received] = await inbox.receive(4)
        await inbox.settle(received, outputs(event(1, to="com.pay")))
        with pytest.raises(DeliveryLostError):
            await inbox.settle(received, outputs(event(2, to="com.pay")))
    assert [each.id for each in await transport.peek("com.pay")] == ["event-1"]


async def test_what_is_in_hand_at_the_end_comes_again_as_begun(
    transport: RedisTransport, spec: TopicSpec
) -> None:
    await transport.publish([event(number) for number in range(3)])
    async with transport.inbox(spec, prefetch=4) as inbox:
        assert len(await receive_all(inbox, 3)) == 3
    async with transport.inbox(spec, prefetch=4) as inbox:
        found = await receive_all(inbox, 3)
    assert [(number_of(each), each.deliveries) for each in found] == [(0, 2), (1, 2), (2, 2)]


async def test_a_dead_letter_is_kept_and_redriven(
    transport: RedisTransport, spec: TopicSpec
) -> None:
    await transport.publish([event()])
    async with transport.inbox(spec, prefetch=4) as inbox:
        [received] = await inbox.receive(4)
        await inbox.settle(received, Dead(letter=letter_of(received)))
        [letter] = await transport.dead_letters(TOPIC)
        assert letter.event == event(), letter
        assert await transport.redrive([letter.key]) == 1
        [again] = await inbox.receive(4)
        assert (again.event, again.deliveries) == (event(), 1)
        assert again.again.startswith("redrive:")
    assert not await transport.dead_letters()


async def test_a_postponed_event_comes_with_its_failures(transport: RedisTransport) -> None:
    await transport.declare([UNORDERED])
    await transport.publish([event()])
    async with transport.inbox(UNORDERED, prefetch=4) as inbox:
        [received] = await inbox.receive(4)
        await inbox.settle(received, Later(delay=timedelta(milliseconds=300), failed=2))
        assert (await transport.depth(TOPIC)).delayed == 1
        [again] = await inbox.receive(4)
        assert (again.failed, again.deliveries) == (2, 1)


async def test_an_event_published_for_later_waits(transport: RedisTransport) -> None:
    await transport.declare([UNORDERED])
    await transport.publish([event()], at=datetime.now(UTC) + timedelta(milliseconds=300))
    assert (await transport.depth(TOPIC)).delayed == 1
    async with transport.inbox(UNORDERED, prefetch=4) as inbox:
        [received] = await inbox.receive(4)
    assert received.event == event()


async def test_an_answer_waits_in_its_box(transport: RedisTransport) -> None:
    await transport.declare([TopicSpec("com.web", kind="answers")])
    async with transport.answers("com.web") as box:
        assert await box.get("request-1") is None
        answer = event(1, to="com.web", parentid="request-1")
        await transport.publish([answer])
        assert await box.wait("request-1") == answer
