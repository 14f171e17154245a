"""The suites pass on a Cluster of three masters, through a client that was passed in."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from redis.asyncio import RedisCluster as ClusterClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import LoadBalancingStrategy

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import ILeasedMachineMemory, LockPolicy, NextTimer
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    MachineTimerSuite,
    SharedMachineMemorySuite,
    WorkflowQueriesSuite,
    record_write,
)
from arvo_memory_redis import RedisMachineMemory
from arvo_redis import Script
from real_servers import RedisCluster, redis_flavours

from .aging import make_older
from .clients import BUSY_MACHINE, leased, subjects
from .test_migration import check_moved, store

PREFIX = "arvo:"
# Leases last as long as a call may take on a busy machine; calls do not wait long.
POLICY = LockPolicy(max_wait=timedelta(milliseconds=60))


@asynccontextmanager
async def connected(cluster: RedisCluster) -> AsyncIterator[RedisMachineMemory]:
    allowed = BUSY_MACHINE.total_seconds()
    async with ClusterClient.from_url(
        cluster.url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=allowed,
        socket_connect_timeout=allowed,
    ) as client:
        yield RedisMachineMemory(client, prefix=PREFIX, policy=POLICY)


@pytest.fixture(autouse=True)
def empty(redis_cluster: RedisCluster) -> None:
    for node in redis_cluster.nodes:
        node.command("FLUSHALL")


@pytest.fixture
def connect(redis_cluster: RedisCluster) -> ConnectLeasedMachineMemory:
    return lambda: connected(redis_cluster)


@pytest.fixture
async def memory(connect: ConnectLeasedMachineMemory) -> AsyncIterator[ILeasedMachineMemory]:
    async with connect() as memory:
        yield memory


class TestFourCalls(MachineMemorySuite):
    pass


class TestShared(SharedMachineMemorySuite):
    pass


@pytest.fixture
async def let_pass(redis_cluster: RedisCluster) -> AsyncIterator[LetTimePass]:
    async with ClusterClient.from_url(redis_cluster.url) as client:
        yield partial(make_older, client, PREFIX)


class TestLeases(LeasedMachineMemorySuite):
    pass


class TestTimers(MachineTimerSuite):
    pass


class TestQueries(WorkflowQueriesSuite):
    lacks = frozenset({"root", "waits_for", "error", "no_step_since"})


async def test_the_workflows_of_every_master_are_listed(redis_cluster: RedisCluster) -> None:
    async with connected(redis_cluster) as memory:
        for number in range(50):
            await memory.write(f"order-{number}", {"number": number}, None)
        found = await subjects(memory)
    assert found == [f"order-{number}" for number in reversed(range(50))]
    assert all(int(str(node.command("DBSIZE"))) > 0 for node in redis_cluster.nodes)


@pytest.fixture(params=redis_flavours(), ids=lambda flavour: flavour.name)
def each_cluster(request: pytest.FixtureRequest) -> Iterator[RedisCluster]:
    """A Cluster of each product, for what depends on the product."""
    with RedisCluster.start(request.param) as cluster:
        yield cluster


async def test_a_poll_asks_each_master_once(
    each_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script looks at all that its server has, and returns the hash tags of the others."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with connected(each_cluster) as memory:
        for number in range(50):
            timer = NextTimer(at=now - timedelta(minutes=number), key="pay#1")
            await memory.commit(
                await leased(memory, f"order-{number}"), record_write({}, timer=timer)
            )
        asked: list[str] = []
        run = memory._server.transport.run

        async def counted(script: Script, *words: str | bytes | int) -> object:
            asked.append(script.name)
            return await run(script, *words)  # type: ignore[arg-type]

        monkeypatch.setattr(memory._server.transport, "run", counted)
        assert await memory.next_due() == timer.at
        assert asked == ["next_due"] * len(each_cluster.nodes)
        asked.clear()
        claimed = await memory.claim_due(limit=10, hold=timedelta(minutes=1))
        assert [each.machine_id for each in claimed] == [
            f"order-{number}" for number in range(49, 39, -1)
        ]
        # As many as the earliest ten have hash tags.
        tags = {memory._keys.machine(each.machine_id).split("}")[0] for each in claimed}
        assert sorted(asked) == ["backlog"] * len(each_cluster.nodes) + ["claim"] * len(tags)


async def test_workflows_of_the_version_before_are_moved_between_masters(
    redis_cluster: RedisCluster,
) -> None:
    async with ClusterClient.from_url(redis_cluster.url) as client:
        before = await store(client, PREFIX)
    async with connected(redis_cluster) as memory:
        with pytest.raises(MachineMemoryError, match="arvo memory migrate"):
            await memory.read("order-7")
        report = await memory.migrate()
    assert report.summary == f"moved {len(before)} workflows to the present keys"
    async with ClusterClient.from_url(redis_cluster.url) as client:
        await check_moved(client, PREFIX, before)


async def test_a_client_that_reads_from_replicas_is_refused(redis_cluster: RedisCluster) -> None:
    async with ClusterClient.from_url(
        redis_cluster.url,
        retry=Retry(NoBackoff(), 0),
        load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN,
    ) as client:
        with pytest.raises(ValueError, match="replicas"):
            RedisMachineMemory(client)


async def test_a_client_that_repeats_calls_is_refused(redis_cluster: RedisCluster) -> None:
    async with ClusterClient.from_url(redis_cluster.url) as client:
        with pytest.raises(ValueError, match="silently repeats"):
            RedisMachineMemory(client)
