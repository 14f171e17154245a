"""The suites pass on a Cluster of three masters, through a client that is borrowed."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from redis.asyncio import RedisCluster as ClusterClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import LoadBalancingStrategy

from arvo_event_handler import ConfigViolation, LockPolicy
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    SharedMachineMemorySuite,
)
from arvo_memory_redis import RedisMachineMemory
from real_servers import RedisCluster

PATIENT = LockPolicy(max_wait=timedelta(milliseconds=30))
# Time passes about fifteen times, so this is as short as a loaded machine bears.
QUICK = LockPolicy(ttl=timedelta(milliseconds=600), max_wait=timedelta(milliseconds=60))


@asynccontextmanager
async def connected(cluster: RedisCluster, policy: LockPolicy) -> AsyncIterator[RedisMachineMemory]:
    async with ClusterClient.from_url(cluster.url, retry=Retry(NoBackoff(), 0)) as client:
        yield RedisMachineMemory(client, prefix="arvo:", policy=policy)


@pytest.fixture(autouse=True)
def empty(redis_cluster: RedisCluster) -> None:
    for node in redis_cluster.nodes:
        node.command("FLUSHALL")


class TestFourCalls(MachineMemorySuite):
    @pytest.fixture
    async def memory(self, redis_cluster: RedisCluster) -> AsyncIterator[RedisMachineMemory]:
        async with connected(redis_cluster, PATIENT) as memory:
            yield memory


class TestShared(SharedMachineMemorySuite):
    @pytest.fixture
    def connect(self, redis_cluster: RedisCluster) -> ConnectLeasedMachineMemory:
        return lambda: connected(redis_cluster, PATIENT)


class TestLeases(LeasedMachineMemorySuite):
    @pytest.fixture
    async def memory(self, redis_cluster: RedisCluster) -> AsyncIterator[RedisMachineMemory]:
        async with connected(redis_cluster, QUICK) as memory:
            yield memory

    @pytest.fixture
    def connect(self, redis_cluster: RedisCluster) -> ConnectLeasedMachineMemory:
        def connect() -> AbstractAsyncContextManager[RedisMachineMemory]:
            return connected(redis_cluster, QUICK)

        return connect

    @pytest.fixture
    def let_pass(self) -> LetTimePass:
        if os.environ.get("ARVO_FULL") != "1":
            pytest.skip("waits for real: the quick check lets time pass on a single server only")
        return lambda delta: asyncio.sleep(delta.total_seconds())


async def test_scan_finds_the_workflows_of_every_master(redis_cluster: RedisCluster) -> None:
    async with connected(redis_cluster, PATIENT) as memory:
        for number in range(50):
            await memory.write(f"order-{number}", {"number": number}, None)
        found = {each.machine_id: each.record async for each in memory.scan()}
    assert found == {f"order-{number}": {"number": number} for number in range(50)}
    assert all(int(str(node.command("DBSIZE"))) > 0 for node in redis_cluster.nodes)


async def test_a_client_that_reads_from_replicas_is_refused(redis_cluster: RedisCluster) -> None:
    async with ClusterClient.from_url(
        redis_cluster.url,
        retry=Retry(NoBackoff(), 0),
        load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN,
    ) as client:
        with pytest.raises(ConfigViolation, match="replicas"):
            RedisMachineMemory(client)


async def test_a_client_that_repeats_calls_is_refused(redis_cluster: RedisCluster) -> None:
    async with ClusterClient.from_url(redis_cluster.url) as client:
        with pytest.raises(ConfigViolation, match="silently repeats"):
            RedisMachineMemory(client)
