import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

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

from arvo_transport_redis import RedisTransport

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[RedisTransport]]


@pytest.fixture
async def namespace(redis_url: str) -> AsyncIterator[str]:
    """Return a namespace for this test alone; its keys are deleted afterwards."""
    chosen = f"arvo-test-{secrets.token_hex(8)}"
    yield chosen
    async with Redis.from_url(redis_url) as client:
        found = [key async for key in client.scan_iter(match=f"*{chosen}*")]
        if found:
            await client.unlink(*found)


@pytest.fixture
def connect(redis_url: str, namespace: str) -> Connect:
    """Return what connects further clients of the namespace."""
    return partial(RedisTransport.connect, redis_url, namespace=namespace)


@pytest.fixture
async def transport(connect: Connect) -> AsyncIterator[RedisTransport]:
    """Return a transport of its own namespace, with 8 partitions."""
    async with connect(partitions=8) as opened:
        yield opened
