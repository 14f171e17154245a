"""Lost replies, a server that dies, and one that is full."""

from datetime import timedelta

import pytest
from real_servers.fixtures import StartRedis

from arvo_transport import DeliveryLostError, Done, TopicSpec, TransportError
from arvo_transport_redis import RedisTransport
from real_servers import FaultProxy, RedisServer

from .events import TOPIC, event, number_of, outputs, receive_all

ORDERED = TopicSpec(TOPIC, order="subject")
UNORDERED = TopicSpec(TOPIC)
PAY = TopicSpec("com.pay")


@pytest.fixture(params=[ORDERED, UNORDERED], ids=["ordered", "unordered"])
def spec(request: pytest.FixtureRequest) -> TopicSpec:
    chosen: TopicSpec = request.param
    return chosen


async def test_a_settlement_whose_reply_is_lost_is_stored_once(
    redis_server: RedisServer, namespace: str, spec: TopicSpec
) -> None:
    async with (
        FaultProxy.open(port=redis_server.port) as proxy,
        RedisTransport.connect(
            f"redis://{proxy.host}:{proxy.port}", namespace=namespace, partitions=2
        ) as transport,
    ):
        await transport.declare([spec, PAY])
        await transport.publish([event(0), event(1)])
        async with transport.inbox(spec, prefetch=4) as inbox:
            first, second = await receive_all(inbox, 2)
            await inbox.settle(first, Done())  # so that the server knows the script
            fault = proxy.lose_next_reply(containing=b"event-9")
            done = outputs(event(9, to="com.pay"))
            with pytest.raises(TransportError) as caught:
                await inbox.settle(second, done)
            assert (caught.value.outcome, caught.value.retryable) == ("unknown", True)
            assert fault.happened.is_set()
            with pytest.raises(DeliveryLostError):
                await inbox.settle(second, done)
        assert [each.id for each in await transport.peek("com.pay")] == ["event-9"]
        assert (await transport.depth(TOPIC)).waiting == 0


async def test_a_settlement_that_is_lost_on_its_way_is_repeated(
    redis_server: RedisServer, namespace: str, spec: TopicSpec
) -> None:
    async with (
        FaultProxy.open(port=redis_server.port) as proxy,
        RedisTransport.connect(
            f"redis://{proxy.host}:{proxy.port}", namespace=namespace, partitions=2
        ) as transport,
    ):
        await transport.declare([spec, PAY])
        await transport.publish([event()])
        async with transport.inbox(spec, prefetch=4) as inbox:
            [received] = await inbox.receive(4)
            fault = proxy.lose_next_request(containing=b"event-9")
            await inbox.settle(received, outputs(event(9, to="com.pay")))
            assert fault.happened.is_set()
        assert [each.id for each in await transport.peek("com.pay")] == ["event-9"]
        assert (await transport.depth(TOPIC)).waiting == 0


async def test_events_of_a_reply_that_was_lost_come_in_order_and_uncounted(
    redis_server: RedisServer, namespace: str, spec: TopicSpec
) -> None:
    async with (
        FaultProxy.open(port=redis_server.port) as proxy,
        RedisTransport.connect(
            f"redis://{proxy.host}:{proxy.port}", namespace=namespace, partitions=2
        ) as transport,
    ):
        await transport.declare([spec])
        async with transport.inbox(spec, prefetch=4) as inbox:
            await transport.publish([event(100)])
            [first] = await inbox.receive(4)  # the server knows the script
            await transport.publish([event(number) for number in range(5)])
            fault = proxy.lose_next_reply(containing=f"{namespace}:paused".encode())
            found = await receive_all(inbox, 5)
            assert fault.happened.is_set()
            await inbox.settle(first, Done())
    assert [(number_of(each), each.deliveries) for each in found] == [
        (number, 1) for number in range(5)
    ]


async def test_a_publication_whose_reply_is_lost_is_stored_once(
    redis_server: RedisServer, namespace: str, spec: TopicSpec
) -> None:
    async with (
        FaultProxy.open(port=redis_server.port) as proxy,
        RedisTransport.connect(
            f"redis://{proxy.host}:{proxy.port}", namespace=namespace, partitions=2
        ) as transport,
    ):
        await transport.declare([spec])
        fault = proxy.lose_next_reply(containing=b"event-9")
        await transport.publish([event(9)])
        assert fault.happened.is_set()
        await transport.publish([event(9)])
        assert [each.id for each in await transport.peek(TOPIC)] == ["event-9"]
        await transport.publish([event(9)], again="client:2")
        assert (await transport.depth(TOPIC)).waiting == 2


async def test_workers_empty_a_server_that_is_full(
    start_redis: StartRedis, spec: TopicSpec
) -> None:
    server = start_redis(options={"maxmemory": "8mb", "maxmemory-policy": "noeviction"})
    lease = timedelta(seconds=1)
    async with RedisTransport.connect(server.url, partitions=2, lease=lease) as transport:
        await transport.declare([spec, PAY])
        count = 0
        refused: TransportError | None = None
        while refused is None:
            try:
                await transport.publish([event(count, padding=20_000)])
                count += 1
            except TransportError as error:
                refused = error
        assert (refused.retryable, refused.outcome) == (True, "failed")
        # A worker that comes only now takes its partitions, keeps them, and settles.
        async with (
            RedisTransport.connect(server.url, lease=lease) as other,
            other.inbox(spec, prefetch=4) as inbox,
        ):
            for number in range(count):
                [received] = await inbox.receive(1)
                assert not await inbox.extend([received])
                if number == 0:
                    await inbox.release([received])
                    [received] = await inbox.receive(1)
                await inbox.settle(received, outputs(event(number, to="com.pay")))
        stored = (await transport.depth("com.pay")).waiting
        print(f"full at {count} events of 20 KB: {count - stored} lost")  # noqa: T201
        assert stored == count
        await transport.publish([event(count)])
