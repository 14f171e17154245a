import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Literal, TypeAlias

import pytest
from real_servers.fixtures import (
    redis_cluster as redis_cluster,
    redis_flavour as redis_flavour,
    redis_sentinel as redis_sentinel,
    redis_server as redis_server,
    redis_url as redis_url,
    start_redis as start_redis,
)
from redis.asyncio import Redis

from arvo_memory_redis import RedisMachineMemory

Transport: TypeAlias = Literal["multiplexed", "redis-py"]


@pytest.fixture(params=["multiplexed", "redis-py"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Return the transport that carries the calls."""
    chosen: Transport = request.param
    return chosen


@pytest.fixture
def connect_url(
    transport: Transport,
) -> Callable[..., AbstractAsyncContextManager[RedisMachineMemory]]:
    """Return `RedisMachineMemory.connect` with the transport chosen."""
    return partial(RedisMachineMemory.connect, transport=transport)


@pytest.fixture
async def prefix(redis_url: str) -> AsyncIterator[str]:
    """Return a prefix of keys for this test alone; its keys are deleted afterwards."""
    chosen = f"arvo-test-{secrets.token_hex(8)}:"
    yield chosen
    async with Redis.from_url(redis_url) as client:
        found = [key async for key in client.scan_iter(match=f"*{chosen}*")]
        if found:
            await client.unlink(*found)
