"""Leaving `connect` waits for pending calls, and leaves no lease behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from real_servers.fixtures import StartRedis

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from real_servers import FaultProxy, RedisServer

from .clients import Connect, leased, turns, url_of

IMPATIENT = LockPolicy(max_wait=timedelta(0))


class Left:
    """A memory behind a proxy, whose block the test leaves explicitly."""

    def __init__(self, memory: RedisMachineMemory, proxy: FaultProxy, server: RedisServer) -> None:
        self.memory, self.proxy, self.server = memory, proxy, server
        self._leave = asyncio.Event()

    async def left_while(self, call: "asyncio.Task[Any]") -> None:
        """Leave the block; paused traffic goes on only when leaving has begun."""
        self._leave.set()
        await turns(10)
        assert not call.done() or call.cancelled()
        self.proxy.resume()

    async def over(self) -> None:
        await self._leave.wait()


@asynccontextmanager
async def opened(connect_url: Connect, server: RedisServer) -> AsyncIterator[Left]:
    async with FaultProxy.open(port=server.port) as proxy:
        made: asyncio.Future[Left] = asyncio.get_running_loop().create_future()

        async def use() -> None:
            url = url_of(proxy)
            async with connect_url(url, policy=IMPATIENT) as memory:
                made.set_result(Left(memory, proxy, server))
                await made.result().over()

        using = asyncio.ensure_future(use())
        yield await made
        await using


async def test_closing_waits_for_a_pending_commit(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    async with opened(connect_url, start_redis()) as left:
        lease = await leased(left.memory)
        left.proxy.pause()
        committing = asyncio.ensure_future(left.memory.commit(lease, record_write({"count": 1})))
        await turns(5)
        await left.left_while(committing)
        await committing
    async with RedisMachineMemory.connect(left.server.url) as memory:
        assert await memory.read("order-7") == {"count": 1}


async def test_closing_waits_for_a_commit_whose_script_the_server_does_not_know(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    async with opened(connect_url, start_redis()) as left:
        lease = await leased(left.memory)
        left.server.command("SCRIPT", "FLUSH")
        left.proxy.pause()
        committing = asyncio.ensure_future(left.memory.commit(lease, record_write({"count": 1})))
        await turns(5)
        await left.left_while(committing)
        await committing


async def test_a_commit_whose_replies_are_lost_while_closing_has_an_unknown_outcome(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    async with opened(connect_url, start_redis()) as left:
        lease = await leased(left.memory)
        for _ in range(3):
            left.proxy.lose_next_reply(containing=lease.owner.encode())
        left.proxy.pause()
        committing = asyncio.ensure_future(left.memory.commit(lease, record_write({"count": 1})))
        await turns(5)
        await left.left_while(committing)
        with pytest.raises(MachineMemoryError) as caught:
            await committing
    assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")


async def test_a_task_cancelled_while_it_takes_a_lease_leaves_none(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    async with opened(connect_url, start_redis()) as left:
        await left.memory.release(await leased(left.memory))  # the server knows the scripts now
        left.proxy.pause()
        taking = asyncio.ensure_future(left.memory.acquire("order-7"))
        await turns(5)
        taking.cancel()  # and the block is left immediately, before anything else can run
        await left.left_while(taking)
    async with RedisMachineMemory.connect(left.server.url, policy=IMPATIENT) as memory:
        await leased(memory)


async def test_new_calls_are_refused_while_the_memory_closes(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    async with opened(connect_url, start_redis()) as left:
        lease = await leased(left.memory)
        left.proxy.pause()
        reading = asyncio.ensure_future(left.memory.read("order-8"))
        await turns(5)
        await left.left_while(reading)
        with pytest.raises(MachineMemoryError, match="was closed"):
            await left.memory.commit(lease, record_write({"count": 1}))
        await left.memory.release(lease)  # but what was taken can be given back
        await reading
