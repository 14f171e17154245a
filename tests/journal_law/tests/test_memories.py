"""The memories that Arvo brings keep the law."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import asyncpg
import pytest
from redis import Redis

from arvo_concurrent import ConcurrentMachineMemory
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_time.testing import FakeClock
from journal_law import Play, check_play, keeps_the_law

pytestmark = pytest.mark.scaled


@keeps_the_law
def test_in_process(play: Play) -> None:
    clock = FakeClock()
    asyncio.run(check_play(play, nullcontext(ConcurrentMachineMemory(clock=clock)), clock=clock))


def test_sqlite(tmp_path: Path) -> None:
    @keeps_the_law
    def keep(play: Play) -> None:
        memory = SqliteMachineMemory.connect(
            tmp_path / "state.db", chunk_bytes=play.chunk_bytes, synchronous="normal"
        )
        asyncio.run(check_play(play, memory))

    keep()


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """Return a prefix for this test alone; its keys are deleted afterwards."""
    chosen = f"law-{secrets.token_hex(8)}:"
    yield chosen
    with Redis.from_url(redis_url) as client:
        client.unlink(*client.scan_iter(match=f"*{chosen}*", count=1000))


def test_redis(redis_url: str, prefix: str) -> None:
    @keeps_the_law
    def keep(play: Play) -> None:
        memory = RedisMachineMemory.connect(redis_url, prefix=prefix, chunk_bytes=play.chunk_bytes)
        asyncio.run(check_play(play, memory))

    keep()


@pytest.fixture
def schema(postgres_dsn: str) -> Iterator[str]:
    """Return a schema for this test alone; it is dropped afterwards."""
    chosen = f"law_{secrets.token_hex(6)}"

    async def make() -> None:
        async with PostgresMachineMemory.connect(postgres_dsn, schema=chosen) as memory:
            await memory.migrate()

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(f"DROP SCHEMA {chosen} CASCADE")
        await connection.close()

    asyncio.run(make())
    yield chosen
    asyncio.run(drop())


def test_postgres(postgres_dsn: str, schema: str) -> None:
    @keeps_the_law
    def keep(play: Play) -> None:
        memory = PostgresMachineMemory.connect(
            postgres_dsn, schema=schema, pool_size=1, chunk_bytes=play.chunk_bytes
        )
        asyncio.run(check_play(play, memory))

    keep()
