"""The suite of all transports, on Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from arvo_transport import IEventTransport
from arvo_transport.testing import EngineUnderTest, EventTransportSuite
from arvo_transport_redis import RedisTransport
from real_servers import FaultProxy


class TestRedisTransport(EventTransportSuite):
    @pytest.fixture
    def engine(self, redis_url: str, namespace: str) -> EngineUnderTest:
        address = Redis.from_url(redis_url).connection_pool.connection_kwargs
        proxies: dict[IEventTransport, FaultProxy] = {}

        @asynccontextmanager
        async def connect(*, patience: timedelta) -> AsyncIterator[IEventTransport]:
            async with (
                FaultProxy.open(host=address["host"], port=address["port"]) as proxy,
                RedisTransport.connect(
                    f"redis://{proxy.host}:{proxy.port}",
                    namespace=namespace,
                    partitions=8,
                    lease=patience,
                ) as transport,
            ):
                proxies[transport] = proxy
                yield transport

        async def kill(transport: IEventTransport) -> None:
            proxies[transport].refusing = True
            proxies[transport].cut_all()
            await transport.aclose()  # which reaches nobody

        return EngineUnderTest(connect=connect, kill=kill)
