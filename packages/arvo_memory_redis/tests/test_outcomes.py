"""A failed call reports its outcome truthfully, and whether to try again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import RedisCluster as ClusterClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_time.testing import FakeClock
from real_servers import FaultProxy, RedisCluster, RedisFlavour

from .clients import Connect, leased, stored, url_of

QUICK = LockPolicy(max_wait=timedelta(milliseconds=100), max_delay=timedelta(milliseconds=20))


async def test_a_lost_reply_is_unknown_whatever_the_caller_was_handling(
    connect_url: Connect,
    start_redis: StartRedis,
) -> None:
    """A refused connection of the caller's own, being handled meanwhile, does not count."""
    async with (
        FaultProxy.open(port=start_redis().port) as proxy,
        connect_url(url_of(proxy), policy=QUICK) as memory,
    ):
        await memory.commit(
            await leased(memory), record_write({"count": 0})
        )  # the server knows the script now
        lease = await leased(memory)
        for _ in range(3):
            proxy.lose_next_reply(containing=lease.owner.encode())
        try:
            raise ConnectionRefusedError("by another server")
        except ConnectionRefusedError:
            with pytest.raises(MachineMemoryError) as caught:
                await memory.commit(lease, record_write({"count": 1}))
        assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        assert await memory.read("order-7") == {"count": 1}


async def test_a_server_that_falls_silent_is_given_up_after_the_timeout(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    clock = FakeClock()
    async with (
        FaultProxy.open(port=start_redis().port) as proxy,
        connect_url(url_of(proxy), policy=QUICK, clock=clock) as memory,
    ):
        await memory.commit(await leased(memory), record_write({"count": 0}))
        lease = await leased(memory)
        proxy.pause()
        committing = asyncio.ensure_future(memory.commit(lease, record_write({"count": 1})))
        for _ in range(10):
            await asyncio.sleep(0)
        clock.advance(timedelta(seconds=4.9))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not committing.done()
        clock.advance(timedelta(seconds=0.1))
        with pytest.raises(MachineMemoryError, match="no reply within 5 s") as caught:
            await committing
        assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        proxy.resume()


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG", "SET", "min-replicas-to-write", 1),
        ("CONFIG", "SET", "maxmemory", 1),
        ("REPLICAOF", "127.0.0.1", 1),
    ],
    ids=["too few replicas", "out of memory", "read only"],
)
async def test_a_call_to_a_server_that_takes_no_writes_now_is_retryable(
    connect_url: Connect, start_redis: StartRedis, command: Sequence[str | int]
) -> None:
    server = start_redis()
    async with connect_url(server.url, policy=QUICK) as memory:
        lease = await leased(memory)
        server.command(*command)
        with pytest.raises(MachineMemoryError) as caught:
            await memory.commit(lease, record_write({"count": 1}))
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert await memory.read("order-7") is None


class TestCluster:
    """A Cluster whose masters are behind proxies, to which the client connects."""

    @asynccontextmanager
    async def behind_proxies(
        self, flavour: RedisFlavour
    ) -> AsyncIterator[tuple[RedisMachineMemory, RedisCluster, list[FaultProxy]]]:
        async with AsyncExitStack() as stack:
            cluster = stack.enter_context(RedisCluster.start(flavour))
            proxies = {
                node.port: await stack.enter_async_context(FaultProxy.open(port=node.port))
                for node in cluster.nodes
            }
            client = await stack.enter_async_context(
                ClusterClient.from_url(
                    cluster.url,
                    retry=Retry(NoBackoff(), 0),
                    address_remap=lambda address: (
                        (proxies[address[1]].host, proxies[address[1]].port)
                        if address[1] in proxies
                        else address
                    ),
                )
            )
            yield RedisMachineMemory(client, policy=QUICK), cluster, list(proxies.values())

    async def test_a_commit_whose_reply_is_lost_happens_once(
        self, redis_flavour: RedisFlavour
    ) -> None:
        async with self.behind_proxies(redis_flavour) as (memory, _, proxies):
            await memory.commit(await leased(memory), record_write({"count": 0}))
            lease = await leased(memory)
            faults = [proxy.lose_next_reply(containing=lease.owner.encode()) for proxy in proxies]
            await memory.commit(lease, record_write({"count": 1}))
            assert sum(fault.happened.is_set() for fault in faults) == 1
            found = await stored(memory, "order-7")
            assert found is not None
            assert (found.version, found.record) == (2, {"count": 1})

    async def test_a_commit_is_unknown_when_its_master_is_gone_before_it_answers(
        self, redis_flavour: RedisFlavour
    ) -> None:
        async with self.behind_proxies(redis_flavour) as (memory, _, proxies):
            await memory.commit(await leased(memory), record_write({"count": 0}))
            lease = await leased(memory)
            for proxy in proxies:
                proxy.lose_next_reply(containing=lease.owner.encode())
                proxy.refusing = True
            with pytest.raises(MachineMemoryError) as caught:
                await memory.commit(lease, record_write({"count": 1}))
            assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
            for proxy in proxies:
                proxy.refusing = False
            assert await memory.read("order-7") == {"count": 1}

    async def test_a_call_to_a_cluster_that_is_gone_is_retryable(
        self, redis_flavour: RedisFlavour
    ) -> None:
        """The first call finds a broken connection, later ones find no master."""
        async with self.behind_proxies(redis_flavour) as (memory, cluster, _):
            lease = await leased(memory)
            for node in cluster.nodes:
                node.kill()
            for _ in range(3):
                with pytest.raises(MachineMemoryError) as caught:
                    await memory.commit(lease, record_write({"count": 1}))
                assert caught.value.retryable
