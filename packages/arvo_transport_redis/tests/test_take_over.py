"""Workers that freeze, die, join and leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import count, islice

import pytest
from redis.asyncio import Redis

from arvo_transport import (
    DeliveryLostError,
    Done,
    IEventInbox,
    TopicSpec,
    TransportError,
)
from arvo_transport_redis import RedisTransport
from real_servers import FaultProxy

from .conftest import Connect
from .events import TOPIC, event, number_of, outputs, receive_all

ORDERED = TopicSpec(TOPIC, order="subject")
UNORDERED = TopicSpec(TOPIC)
LEASE = timedelta(seconds=1)


@pytest.fixture(params=[ORDERED, UNORDERED], ids=["ordered", "unordered"])
def spec(request: pytest.FixtureRequest) -> TopicSpec:
    chosen: TopicSpec = request.param
    return chosen


@asynccontextmanager
async def behind_proxy(
    redis_url: str, namespace: str
) -> AsyncIterator[tuple[RedisTransport, FaultProxy]]:
    address = Redis.from_url(redis_url).connection_pool.connection_kwargs
    async with (
        FaultProxy.open(host=address["host"], port=address["port"]) as proxy,
        RedisTransport.connect(
            f"redis://{proxy.host}:{proxy.port}", namespace=namespace, partitions=4, lease=LEASE
        ) as transport,
    ):
        yield transport, proxy


async def first_received(*inboxes: IEventInbox) -> list[int]:
    """Return the numbers of the events that one of several inboxes receives first."""
    receiving = [asyncio.create_task(inbox.receive(4)) for inbox in inboxes]
    received, waiting = await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.wait(receiving)
    return [number_of(each) for task in received for each in await task]


async def test_a_frozen_worker_can_neither_settle_nor_read(
    redis_url: str, namespace: str, connect: Connect, spec: TopicSpec
) -> None:
    async with (
        behind_proxy(redis_url, namespace) as (frozen, proxy),
        connect(lease=LEASE) as other,
    ):
        await frozen.declare([spec, TopicSpec("com.pay")])
        await frozen.publish([event(number) for number in range(3)])
        async with frozen.inbox(spec, prefetch=4) as inbox:
            [held] = await inbox.receive(1)
            proxy.pause()
            async with other.inbox(spec, prefetch=4) as taken_over:
                found = await receive_all(taken_over, 3)
                assert sorted((number_of(each), each.deliveries) for each in found) == [
                    (0, 2), (1, 1), (2, 1),
                ]  # fmt: skip
                await other.publish([event(3)])
                proxy.resume()
                with pytest.raises(DeliveryLostError):
                    await inbox.settle(held, outputs(event(9, to="com.pay")))
                assert not await other.peek("com.pay")
                for each in found:
                    await taken_over.settle(each, Done())
                if spec.order != "none":
                    # The partition may have gone back to the worker that is awake again.
                    assert await first_received(taken_over, inbox) == [3]


async def test_a_read_of_a_frozen_worker_takes_nothing(
    redis_url: str, namespace: str, connect: Connect
) -> None:
    async with (
        behind_proxy(redis_url, namespace) as (frozen, proxy),
        connect(lease=LEASE) as other,
    ):
        await frozen.declare([ORDERED])
        async with frozen.inbox(ORDERED, prefetch=4) as inbox:
            await frozen.publish([event(0)])
            assert len(await inbox.receive(4)) == 1
            receiving = asyncio.create_task(inbox.receive(4))
            proxy.pause()
            async with other.inbox(ORDERED, prefetch=4) as taken_over:
                # By now the read is on its way: a worker looks more often than a lease lasts.
                [again] = await taken_over.receive(4)
                assert (number_of(again), again.deliveries) == (0, 2)
                await other.publish([event(1), event(2)])
                proxy.resume()
                await asyncio.wait([receiving], timeout=0.3)
                found = await receive_all(taken_over, 2)
                assert [(number_of(each), each.deliveries) for each in found] == [(1, 1), (2, 1)]
                assert not receiving.done()
            receiving.cancel()
            await asyncio.wait([receiving])


async def test_a_partition_whose_worker_says_nothing_goes_to_one_that_has_its_share(
    connect: Connect,
) -> None:
    async with connect(lease=LEASE, partitions=2) as silent, connect(lease=LEASE) as other:
        await silent.declare([ORDERED])
        async with silent.inbox(ORDERED, prefetch=4) as inbox:
            await silent.publish([event()])
            [held] = await inbox.receive(4)
            async with other.inbox(ORDERED, prefetch=4) as taking:
                [taken] = await taking.receive(4)
                assert (taken.event, taken.deliveries) == (held.event, 2)


async def test_a_dead_worker_is_missed_and_its_events_come_first(
    redis_url: str, namespace: str, connect: Connect, spec: TopicSpec
) -> None:
    async with connect(lease=LEASE) as other:
        await other.declare([spec])
        await other.publish([event(number) for number in range(4)])
        async with behind_proxy(redis_url, namespace) as (dying, proxy):
            async with dying.inbox(spec, prefetch=4) as inbox:
                assert len(await receive_all(inbox, 2)) == 2
                proxy.refusing = True
                proxy.cut_all()
            async with other.inbox(spec, prefetch=4) as taken_over:
                found = await receive_all(taken_over, 4)
    counts = [(number_of(each), each.deliveries) for each in found]
    if spec.order == "none":
        counts.sort()
    assert counts == [(0, 2), (1, 2), (2, 1), (3, 1)]


async def test_only_what_was_begun_is_counted_after_a_take_over(
    redis_url: str, namespace: str, connect: Connect
) -> None:
    """A worker dies with four events; the next takes them one by one, and dies with the first."""
    async with connect(lease=LEASE) as last:
        await last.declare([ORDERED])
        await last.publish([event(number) for number in range(4)])
        for limit in (4, 1):
            async with (
                behind_proxy(redis_url, namespace) as (dying, proxy),
                dying.inbox(ORDERED, prefetch=4) as inbox,
            ):
                assert len(await receive_all(inbox, limit)) == limit
                proxy.refusing = True
                proxy.cut_all()
        async with last.inbox(ORDERED, prefetch=4) as inbox:
            found = await receive_all(inbox, 4)
    assert [(number_of(each), each.deliveries) for each in found] == [
        (0, 3), (1, 2), (2, 2), (3, 2),
    ]  # fmt: skip


async def test_a_worker_that_extends_keeps_what_it_has(connect: Connect, spec: TopicSpec) -> None:
    lease = 2 * LEASE
    async with connect(lease=lease) as worker, connect(lease=lease) as other:
        await worker.declare([spec])
        await worker.publish([event()])
        async with worker.inbox(spec, prefetch=4) as inbox:
            [held] = await inbox.receive(1)
            async with other.inbox(spec, prefetch=4) as idle:
                waiting = asyncio.create_task(idle.receive(1))
                for _ in range(12):  # three leases long
                    await asyncio.wait([waiting], timeout=lease.total_seconds() / 4)
                    assert not await inbox.extend([held])
                assert not waiting.done()
                await inbox.settle(held, Done())
                await idle.stop()
                assert not await waiting


async def test_a_partition_changes_hands_under_load_and_nothing_is_handled_twice(
    connect: Connect,
) -> None:
    subjects, per_subject = 12, 25
    handled: list[tuple[str, int]] = []
    at_work: dict[str, int] = {}

    async def work(transport: RedisTransport, inbox: IEventInbox) -> None:
        while received := await inbox.receive(8):
            for each in received:
                subject = each.event.subject
                assert each.deliveries == 1
                assert at_work.setdefault(subject, id(inbox)) == id(inbox), "two have a subject"
                await asyncio.sleep(0)
                handled.append((subject, number_of(each)))
                at_work.pop(subject)
                await inbox.settle(each, Done())

    async with AsyncExitStack() as stack:
        stays = await stack.enter_async_context(connect(partitions=8))
        await stays.declare([ORDERED])
        inbox = await stack.enter_async_context(stays.inbox(ORDERED, prefetch=8))
        working = asyncio.create_task(work(stays, inbox))

        async def publish() -> None:
            for number in range(per_subject):
                await stays.publish(
                    [
                        event(number * subjects + subject, subject=f"order-{subject}")
                        for subject in range(subjects)
                    ]
                )
                await asyncio.sleep(0.02)

        publishing = asyncio.create_task(publish())
        while not publishing.done():
            async with connect() as joins, joins.inbox(ORDERED, prefetch=8) as theirs:
                joined = asyncio.create_task(work(joins, theirs))
                await asyncio.wait([publishing, joined], timeout=0.1)
                await theirs.stop()
                await joined
        await publishing
        while len(handled) < subjects * per_subject:
            await asyncio.wait([working], timeout=0.01)
        await inbox.stop()
        await working
    assert len(handled) == len(set(handled)) == subjects * per_subject
    for subject in range(subjects):
        numbers = [number for name, number in handled if name == f"order-{subject}"]
        assert numbers == sorted(numbers)


async def test_workers_share_the_partitions(connect: Connect) -> None:
    async with connect(partitions=5) as first, connect() as second:
        await first.declare([ORDERED])
        async with (
            first.inbox(ORDERED, prefetch=8) as one,
            second.inbox(ORDERED, prefetch=8) as two,
        ):
            numbers, counts = count(), [0, 0]

            async def receive(inbox: IEventInbox, index: int) -> None:
                for each in await inbox.receive(100):
                    counts[index] += 1
                    await inbox.settle(each, Done())

            while 0 in counts:
                for number in islice(numbers, 100):
                    await first.publish([event(number, subject=f"order-{number}")])
                tasks = [
                    asyncio.create_task(receive(inbox, index))
                    for index, inbox in enumerate((one, two))
                ]
                await asyncio.wait(tasks, timeout=0.05)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            assert (await first.depth(TOPIC)).workers == 2
        assert (await first.depth(TOPIC)).workers == 0


async def test_a_partition_that_was_given_up_goes_to_another(connect: Connect) -> None:
    async with connect(partitions=1) as gives, connect() as takes:
        await gives.declare([ORDERED])
        await gives.publish([event(number) for number in range(2)])
        async with gives.inbox(ORDERED, prefetch=8) as inbox:
            [first] = await inbox.receive(1)
            async with takes.inbox(ORDERED, prefetch=8) as other:
                await inbox.release([first], pause=timedelta(minutes=1))
                found = await receive_all(other, 2)
    assert [(number_of(each), each.deliveries) for each in found] == [(0, 1), (1, 1)]


async def test_released_events_come_again_to_the_same_worker(
    connect: Connect, spec: TopicSpec
) -> None:
    async with connect() as transport:
        await transport.declare([spec])
        await transport.publish([event(number) for number in range(3)])
        async with transport.inbox(spec, prefetch=8) as inbox:
            found = await receive_all(inbox, 3)
            await inbox.release(found)
            depth = await transport.depth(TOPIC)
            assert (depth.waiting, depth.in_hand) == (3, 0)
            again = await receive_all(inbox, 3)
            assert [(number_of(each), each.deliveries) for each in again] == [
                (0, 1), (1, 1), (2, 1),
            ]  # fmt: skip
            depth = await transport.depth(TOPIC)
            assert (depth.waiting, depth.in_hand) == (0, 3)


async def test_a_receive_that_is_cancelled_loses_nothing(connect: Connect, spec: TopicSpec) -> None:
    async with connect() as transport:
        await transport.declare([spec])
        async with transport.inbox(spec, prefetch=8) as inbox:
            for number in range(20):
                receiving = asyncio.create_task(inbox.receive(8))
                publishing = asyncio.create_task(transport.publish([event(number)]))
                for _ in range(number % 10):
                    await asyncio.sleep(0)
                await publishing
                receiving.cancel()
                try:
                    for each in await receiving:
                        await inbox.release([each])
                except asyncio.CancelledError:
                    pass
            found = await receive_all(inbox, 20)
    counts = [(number_of(each), each.deliveries) for each in found]
    if spec.order == "none":
        counts.sort()
    assert counts == [(number, 1) for number in range(20)]


async def test_an_engine_that_is_away_is_reported(redis_url: str, namespace: str) -> None:
    async with behind_proxy(redis_url, namespace) as (transport, proxy):
        proxy.refusing = True
        proxy.cut_all()
        with pytest.raises(TransportError) as caught:
            await transport.ping()
        assert caught.value.retryable
