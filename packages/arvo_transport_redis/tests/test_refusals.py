"""What is refused, and what the message says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis, RedisCluster as ClusterClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_event_handler import UnroutableError
from arvo_transport import (
    Done,
    EventTooLargeError,
    Later,
    TopicConflictError,
    TopicSpec,
    TransportClosedError,
    TransportError,
    UnknownTopicError,
    connect_transport,
)
from arvo_transport_redis import RedisTransport
from real_servers import RedisCluster, RedisServer

from .conftest import Connect
from .events import TOPIC, event

ORDERED = TopicSpec(TOPIC, order="subject")
UNORDERED = TopicSpec(TOPIC)


async def test_a_cluster_is_refused(redis_cluster: RedisCluster) -> None:
    with pytest.raises(ValueError, match=r"a Redis Cluster cannot store .* use one server"):
        async with RedisTransport.connect(redis_cluster.url):
            pass


async def test_a_client_of_a_cluster_is_refused(redis_cluster: RedisCluster) -> None:
    node = redis_cluster.nodes[0]
    async with ClusterClient(host=node.host, port=node.port, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(ValueError, match="a Redis Cluster cannot store"):
            RedisTransport(client)


async def test_a_client_of_one_node_of_a_cluster_is_refused(redis_cluster: RedisCluster) -> None:
    async with Redis.from_url(redis_cluster.url, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(ValueError, match="a Redis Cluster cannot store"):
            await RedisTransport(client).declare([ORDERED])


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused(start_redis: StartRedis, policy: str) -> None:
    server = start_redis(options={"maxmemory-policy": policy})
    with pytest.raises(ValueError, match=f"maxmemory-policy is {policy}, .* set it to noeviction"):
        async with RedisTransport.connect(server.url):
            pass


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1") as caught:
        async with RedisTransport.connect("redis://127.0.0.1:1"):
            pass
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")


async def test_a_wrong_password_is_named(start_redis: StartRedis) -> None:
    server = start_redis()
    server.command("CONFIG", "SET", "requirepass", "secret")
    for login in (":wrong@", ""):
        with pytest.raises(
            TransportError, match="refused the login: AuthenticationError: "
        ) as refused:
            async with RedisTransport.connect(f"redis://{login}{server.host}:{server.port}"):
                pass
        assert (refused.value.retryable, refused.value.outcome) == (False, "failed")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"namespace": "shop:1"}, "namespace must be 1 to 100 letters, digits and -"),
        ({"partitions": 0}, "partitions must be"),
        ({"lease": timedelta(milliseconds=10)}, "lease must be at least 1 s"),
        ({"answers_kept": timedelta(0)}, "answers_kept must"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_setting_out_of_its_bounds_is_refused(
    redis_url: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        async with RedisTransport.connect(redis_url, **settings):
            pass


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("namespace=a_b", "namespace must be"),
        ("partitons=3", "did you mean partitions?"),
        ("lease=15", "must be a number with its unit"),
    ],
)
async def test_a_wrong_option_of_the_url_is_refused(
    redis_url: str, query: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        async with connect_transport(f"{redis_url}?{query}"):
            pass


async def test_a_url_opens_the_transport(redis_server: RedisServer, namespace: str) -> None:
    url = f"{redis_server.unix_url}&namespace={namespace}&partitions=3&lease=30s"
    async with connect_transport(url) as transport:
        await transport.declare([ORDERED])
        [state] = await transport.topics()
        assert (state.partitions, state.order, state.owned) == (3, "subject", True)
        async with transport.inbox(ORDERED, prefetch=1) as inbox:
            assert inbox.patience == timedelta(seconds=30)


async def test_an_undeclared_topic_is_refused(transport: RedisTransport) -> None:
    with pytest.raises(UnroutableError):
        await transport.publish([event()])
    for call in (
        transport.depth(TOPIC),
        transport.peek(TOPIC),
        transport.pause(TOPIC, paused=True),
    ):
        with pytest.raises(UnknownTopicError):
            await call
    with pytest.raises(UnknownTopicError):
        await transport.relayout(TOPIC, partitions=3)
    with pytest.raises(UnknownTopicError):
        async with transport.inbox(ORDERED, prefetch=1):
            pass


async def test_another_order_is_a_conflict(transport: RedisTransport) -> None:
    await transport.declare([ORDERED])
    await transport.declare([ORDERED, TopicSpec("com.pay")])
    with pytest.raises(TopicConflictError) as caught:
        await transport.declare([TopicSpec("com.new"), UNORDERED])
    assert (caught.value.order, caught.value.wanted) == ("subject", "none")
    assert [state.name for state in await transport.topics()] == [TOPIC, "com.pay"]


async def test_an_address_of_a_client_has_no_handlers(transport: RedisTransport) -> None:
    await transport.declare([TopicSpec("com.web", kind="answers")])
    with pytest.raises(ValueError, match="the address of a client cannot have handlers"):
        await transport.declare([TopicSpec("com.web")])


async def test_an_ordered_topic_postpones_nothing(transport: RedisTransport) -> None:
    await transport.declare([ORDERED])
    with pytest.raises(ValueError, match="has an order"):
        await transport.publish([event()], at=datetime.now(UTC))
    await transport.publish([event()])
    async with transport.inbox(ORDERED, prefetch=1) as inbox:
        [received] = await inbox.receive(1)
        with pytest.raises(ValueError, match="has an order"):
            await inbox.settle(received, Later(delay=timedelta(0), failed=1))
        with pytest.raises(TypeError, match="work"):
            await inbox.settle(received, Done(work=["select 1"]))
        await inbox.settle(received, Done())


async def test_an_event_that_is_too_large_is_refused_before_anything_is_stored(
    transport: RedisTransport,
) -> None:
    await transport.declare([UNORDERED])
    large = event(1, padding=transport.capabilities.max_event_bytes)
    with pytest.raises(EventTooLargeError):
        await transport.publish([event(), large])
    assert (await transport.depth(TOPIC)).waiting == 0


async def test_a_closed_transport_is_refused(connect: Connect) -> None:
    async with connect() as transport:
        await transport.declare([ORDERED])
        async with transport.inbox(ORDERED, prefetch=1) as inbox:
            await transport.aclose()
            await transport.aclose()
            for call in (
                transport.publish([event()]),
                transport.depth(TOPIC),
                transport.ping(),
                inbox.receive(1),
            ):
                with pytest.raises(TransportClosedError):
                    await call
