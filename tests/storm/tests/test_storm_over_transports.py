"""The storm over transports: workers share nothing but an engine and a memory."""

import pytest
from real_servers.fixtures import running

from arvo_memory_postgres import PostgresMachineMemory
from real_servers import (
    NatsServer,
    PostgresServer,
    RedisServer,
    postgres_flavours,
    redis_flavours,
)
from storm import check_storm

pytestmark = [pytest.mark.alone, pytest.mark.scaled]


def test_nothing_is_lost_over_redis_streams_with_the_redis_memory() -> None:
    with running(RedisServer.start(redis_flavours()[0])) as redis:
        check_storm(redis.url, transport=f"{redis.url}?namespace=storm&partitions=16&lease=1s")


async def test_nothing_is_lost_over_redis_streams_with_the_postgres_memory() -> None:
    with (
        running(RedisServer.start(redis_flavours()[-1])) as redis,
        running(PostgresServer.start(postgres_flavours()[-1])) as postgres,
    ):
        async with PostgresMachineMemory.connect(postgres.dsn) as memory:
            await memory.migrate()
        engine = f"{redis.url}?namespace=storm&partitions=16&lease=1s"
        check_storm(postgres.dsn, transport=engine)


def test_nothing_is_lost_over_nats_with_the_redis_memory() -> None:
    with running(NatsServer.start()) as nats, running(RedisServer.start()) as redis:
        check_storm(redis.url, transport=f"{nats.url}?namespace=storm&partitions=16&patience=1s")


async def test_nothing_is_lost_over_nats_with_the_postgres_memory() -> None:
    with (
        running(NatsServer.start()) as nats,
        running(PostgresServer.start(postgres_flavours()[-1])) as postgres,
    ):
        async with PostgresMachineMemory.connect(postgres.dsn) as memory:
            await memory.migrate()
        check_storm(postgres.dsn, transport=f"{nats.url}?namespace=storm&partitions=16&patience=1s")
