"""How topics are laid out, paused and looked at; the door; consumers that are gone."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetterReason, Order
from arvo_transport import DOOR, Done, IEventInbox, TopicSpec, partition_of
from arvo_transport_redis import RedisTransport
from arvo_transport_redis._inbox_ordered import OrderedInbox

from .conftest import Connect
from .events import TOPIC, event, number_of, outputs, receive_all

ORDERED = TopicSpec(TOPIC, order="subject")
UNORDERED = TopicSpec(TOPIC)
SUBJECTS = 6


def many(count: int) -> list[ArvoEvent]:
    return [event(number, subject=f"order-{number % SUBJECTS}") for number in range(count)]


async def test_the_first_owner_of_a_topic_decides_its_order(transport: RedisTransport) -> None:
    await transport.declare([TopicSpec(TOPIC, owner=False)])
    await transport.publish([event(number, subject=f"é-{number % 3}") for number in range(1200)])
    await transport.declare([ORDERED])
    await transport.declare([TopicSpec(TOPIC, owner=False)])
    [state] = await transport.topics()
    assert (state.order, state.partitions, state.owned) == ("subject", 8, True)
    assert (await transport.depth(TOPIC)).waiting == 1200
    await transport.publish([event(1200 + number, subject=f"é-{number}") for number in range(3)])
    async with transport.inbox(ORDERED, prefetch=64) as inbox:
        found = await receive_all(inbox, 1203)
    for subject in range(3):
        numbers = [number_of(each) for each in found if number_of(each) % 3 == subject]
        assert numbers == sorted(numbers)
        assert len(numbers) == 401


async def test_a_publisher_that_knows_another_layout_looks_again(connect: Connect) -> None:
    async with connect(partitions=4) as owner, connect() as publisher:
        await owner.declare([TopicSpec(TOPIC, owner=False)])
        await publisher.publish([event(0)])
        await owner.declare([ORDERED])
        assert partition_of(event().subject, partitions=4) != 0
        await publisher.publish([event(1)])
        stream = owner._namespace.keys.partition(TOPIC, 0) + ":s"
        assert await owner._server.ask("XLEN", stream) == 0
        async with owner.inbox(ORDERED, prefetch=4) as inbox:
            found = await receive_all(inbox, 2)
    assert [number_of(each) for each in found] == [0, 1]


@pytest.mark.parametrize(
    ("order", "partitions"), [("subject", 3), ("subject", 16), ("none", None), ("key", 5)]
)
async def test_a_topic_is_laid_out_anew_while_it_is_in_use(
    connect: Connect, order: Order, partitions: int | None
) -> None:
    count = 300
    async with connect(partitions=8) as transport, connect() as other:
        await transport.declare([ORDERED])
        handled: dict[str, list[int]] = {}

        async def work(worker: RedisTransport) -> None:
            async with worker.inbox(ORDERED, prefetch=8) as inbox:
                while True:
                    for each in await inbox.receive(8):
                        handled.setdefault(each.event.subject, []).append(number_of(each))
                        await inbox.settle(each, Done())

        async def publish() -> None:
            for each in many(count):
                await other.publish([each])

        workers = [asyncio.create_task(work(each)) for each in (transport, other)]
        publishing = asyncio.create_task(publish())
        await transport.relayout(TOPIC, order=order, partitions=partitions)
        await publishing
        while sum(map(len, handled.values())) < count:
            await asyncio.wait(workers, timeout=0.02)
            assert not any(worker.done() for worker in workers)
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
        [state] = await transport.topics()
        assert (state.order, state.partitions) == (order, partitions or 1)
        assert not state.paused
    for numbers in handled.values():
        assert len(numbers) == count // SUBJECTS
        assert order == "none" or numbers == sorted(numbers)


async def test_a_worker_that_hears_no_bell_keeps_an_order_that_is_new(connect: Connect) -> None:
    async with connect(partitions=1) as deaf, connect(partitions=1) as other:
        await deaf.declare([UNORDERED])
        await other.publish([event(0)])
        async with deaf.inbox(UNORDERED, prefetch=4) as inbox:
            deaf._bells._listeners.clear()
            [received] = await inbox.receive(4)
            await inbox.settle(received, Done())
            await other.relayout(TOPIC, order="subject", partitions=1)
            await other.publish([event(1), event(2)])
            [first] = await inbox.receive(1)
            assert isinstance(first.token.inbox, OrderedInbox)
            assert number_of(first) == 1


async def test_a_worker_takes_nothing_by_a_former_layout(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, learns = OrderedInbox._follow_layout, asyncio.Event()

    async def late(self: OrderedInbox) -> None:
        await learns.wait()
        await follow(self)

    async with connect(partitions=8) as transport, connect() as other:
        await transport.declare([ORDERED])
        async with transport.inbox(ORDERED, prefetch=4) as inbox:
            former = inbox._inbox  # type: ignore[attr-defined]
            monkeypatch.setattr(OrderedInbox, "_follow_layout", late)
            await other.relayout(TOPIC, partitions=3)
            await other.publish([event(0)])
            receiving = asyncio.create_task(inbox.receive(4))
            await asyncio.wait([receiving], timeout=0.5)
            learns.set()
            [received] = await receiving
            assert received.token.inbox is not former


async def test_a_relayout_waits_for_each_of_many_in_hand(connect: Connect) -> None:
    """What has not been heard of for long comes first, and may be moved."""
    count = 1200
    async with connect(lease=timedelta(seconds=1)) as transport, connect() as other:
        await transport.declare([UNORDERED])
        await transport.publish([event(number) for number in range(count + 1)])
        async with transport.inbox(UNORDERED, prefetch=count + 1) as inbox:
            found = await receive_all(inbox, count + 1)
            while True:  # only the last is heard of
                [stream] = [f"{inbox._inbox._shard.slot}:s"]  # type: ignore[attr-defined]
                await inbox.extend(found[-1:])
                listed = await transport._server.ask(
                    "XPENDING", stream, "arvo", "IDLE", 1000, "-", "+", count + 1
                )
                if len(listed) >= count:
                    break
                await asyncio.sleep(0.05)
            moving = asyncio.create_task(transport.relayout(TOPIC, order="subject", partitions=2))
            while not (await other.topics())[0].paused:
                assert not moving.done()
            await asyncio.wait([moving], timeout=0.3)
            assert not moving.done()
            await inbox.settle(found[-1], Done())
            await moving
        assert (await transport.depth(TOPIC)).waiting == count


async def test_nothing_is_handed_out_while_a_topic_is_paused(connect: Connect) -> None:
    async with connect() as transport, connect() as other:
        await transport.declare([UNORDERED])
        async with transport.inbox(UNORDERED, prefetch=4) as inbox:
            await other.pause(TOPIC, paused=True)
            [state] = await transport.topics()
            assert state.paused
            await other.publish([event()])
            receiving = asyncio.create_task(inbox.receive(4))
            await asyncio.wait([receiving], timeout=0.1)
            assert not receiving.done()
            await other.pause(TOPIC, paused=False)
            assert len(await receiving) == 1


async def test_a_foreign_publisher_uses_the_door(transport: RedisTransport, redis_url: str) -> None:
    door = TopicSpec(DOOR)
    await transport.declare([door])
    namespace = transport._namespace.keys.namespace
    sent = event(1, subject="ümlaut")
    async with transport.inbox(door, prefetch=4) as inbox, Redis.from_url(redis_url) as foreign:
        stream = f"{{{namespace}:in:0}}:s"
        await foreign.xadd(stream, {"event": b"not an event \xff"})
        await foreign.xadd(stream, {"payload": "{}"})
        await foreign.xadd(stream, {"event": sent.to_json(), "id": "7"})
        [received] = await inbox.receive(4)
        assert received.event == sent
        await inbox.settle(received, Done())
    letters = await transport.dead_letters(DOOR)
    assert [letter.reason for letter in letters] == [DeadLetterReason.UNPARSABLE] * 2
    assert [letter.raw for letter in letters] == [b"not an event \xff", b"payload: {}"]
    assert (await transport.depth(DOOR)).waiting == 0
    assert await transport.drop([letter.key for letter in letters]) == 2


async def test_a_foreign_publisher_may_repeat_itself(
    transport: RedisTransport, redis_url: str
) -> None:
    async with at_the_door(transport, redis_url) as (inbox, send):
        for id_ in ("a", "b", "a"):
            await send(event(1).to_json(), id=id_)
        await send(event(2).to_json())
        found = await receive_all(inbox, 3)
        assert [number_of(each) for each in found] == [1, 1, 2]
        # What is delivered again is not a repetition of itself, wherever it has been meanwhile.
        await inbox.release(found)
        for _ in range(2):
            await transport.relayout(DOOR)
        assert len(await receive_all(inbox, 3)) == 3
        await send(event(1).to_json(), id="b")
        await send(event(3).to_json())
        [last] = await inbox.receive(4)
        assert number_of(last) == 3
        depth = await transport.depth(DOOR)
        assert (depth.waiting, depth.in_hand) == (0, 4)


async def test_a_foreign_publisher_may_name_a_time(
    transport: RedisTransport, redis_url: str
) -> None:
    async with at_the_door(transport, redis_url) as (inbox, send):
        due = datetime.now(UTC) + timedelta(seconds=0.5)
        await send(event(1).to_json(), id="a", at=due.isoformat())
        await send(event(2).to_json(), at="2020-02-29T12:00:00Z")
        await send(event(1).to_json(), id="a")
        [first] = await inbox.receive(4)
        assert number_of(first) == 2
        assert (await transport.depth(DOOR)).delayed == 1
        [second] = await inbox.receive(4)
        assert (number_of(second), second.deliveries) == (1, 1)
        assert datetime.now(UTC) >= due


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"at": "tomorrow"}, "the field `at`"),
        ({"at": "2030-01-01T00:00:00"}, "time zone"),
        ({"id": ""}, "the field `id`"),
        ({"id": "x" * 257}, "the field `id`"),
        ({"id": b"\xff"}, "the field `id`"),
    ],
    ids=["no time", "no zone", "empty id", "long id", "bytes"],
)
async def test_fields_of_the_door_that_mean_nothing_make_a_letter(
    transport: RedisTransport, redis_url: str, fields: dict[str, Any], why: str
) -> None:
    async with at_the_door(transport, redis_url) as (inbox, send):
        await send(event(1).to_json(), **fields)
        await send(event(2).to_json())
        [received] = await inbox.receive(4)
        assert number_of(received) == 2
    [letter] = await transport.dead_letters(DOOR)
    assert letter.reason is DeadLetterReason.UNPARSABLE
    assert why in letter.error.message


@asynccontextmanager
async def at_the_door(
    transport: RedisTransport, redis_url: str
) -> AsyncIterator[tuple[IEventInbox, Callable[..., Awaitable[None]]]]:
    """Open the inbox of the door, and what sends to it as a foreign publisher does."""
    await transport.declare([TopicSpec(DOOR)])
    stream = f"{{{transport._namespace.keys.namespace}:in:0}}:s"
    async with (
        transport.inbox(TopicSpec(DOOR), prefetch=4) as inbox,
        Redis.from_url(redis_url) as foreign,
    ):

        async def send(text: str, **fields: Any) -> None:
            content: dict[Any, Any] = {"event": text, **fields}
            await foreign.xadd(stream, content)

        yield inbox, send


async def test_an_output_to_nowhere_is_a_letter_of_that_topic(transport: RedisTransport) -> None:
    await transport.declare([UNORDERED, TopicSpec("com.web", kind="answers")])
    await transport.publish([event()])
    async with transport.inbox(UNORDERED, prefetch=4) as inbox:
        [received] = await inbox.receive(4)
        await inbox.settle(received, outputs(event(1, to="com.nowhere"), event(2, to="com.web")))
    [nowhere] = await transport.dead_letters("com.nowhere")
    assert nowhere.reason is DeadLetterReason.UNROUTABLE
    [lost] = await transport.dead_letters("com.web", reason="answers nothing")
    assert lost.event == event(2, to="com.web")
    everything = await transport.dead_letters()
    assert [letter.key for letter in everything] == sorted([nowhere.key, lost.key])
    assert await transport.dead_letters(after=everything[0].key) == everything[1:]
    await transport.declare([TopicSpec("com.nowhere")])
    assert await transport.redrive([nowhere.key, "1-1-com.gone"]) == 1
    assert [each.id for each in await transport.peek("com.nowhere")] == ["event-1"]


async def test_consumers_that_have_nothing_are_deleted_and_others_kept(
    transport: RedisTransport, redis_url: str
) -> None:
    await transport.declare([UNORDERED])
    await transport.publish([event(0), event(1)])
    stream = transport._namespace.keys.partition(TOPIC, 0) + ":s"
    async with Redis.from_url(redis_url) as client:
        async with transport.inbox(UNORDERED, prefetch=4) as inbox:
            [received] = await inbox.receive(1)
            await inbox.settle(received, Done())
            name = secrets.token_hex(4)
            await client.xreadgroup("arvo", name, {stream: ">"}, count=1)
            assert not (await transport.depth(TOPIC)).waiting
        names = {each["name"].decode() for each in await client.xinfo_consumers(stream, "arvo")}
        assert names == {name}
        assert (await transport.depth(TOPIC)).in_hand == 1


async def test_a_system_error_gives_way_to_an_answer(transport: RedisTransport) -> None:
    await transport.declare([TopicSpec("com.web", kind="answers")])
    async with transport.answers("com.web") as box:
        waiting = asyncio.create_task(box.wait("request-1"))
        await asyncio.sleep(0)
        failure = event(1, to="com.web", parentid="request-1").model_copy(
            update={"type": "sys.com.order.create.error"}
        )
        await transport.publish([failure])
        assert (await waiting).type == failure.type
        answer = event(2, to="com.web", parentid="request-1")
        await transport.publish([answer])
        await transport.publish([event(3, to="com.web", parentid="request-1")])
        await transport.publish([failure], again="client:1")
        assert await box.get("request-1") == answer
        assert await box.get("request-2") is None
