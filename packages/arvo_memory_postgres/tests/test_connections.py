"""How connections are lent, kept and given back."""

import asyncio
from datetime import timedelta

import pytest

from .conftest import Connect, fetch, on_its_connection

HOUR = timedelta(hours=1).total_seconds()


async def test_whoever_waits_for_a_connection_gets_it_next(
    connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is kept for its last user only while nobody else wants it."""
    monkeypatch.setattr("arvo_postgres._connections._KEPT", HOUR)
    async with connect_to(pool_size=2) as memory:
        await asyncio.gather(
            *(memory.write(f"order-{n}", {"count": n}, None) for n in range(20)),
        )
        assert await memory.read("order-19") == {"count": 19}


async def test_a_pool_of_its_own_is_not_entered_for_each_statement(
    connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes the difference in speed, without a clock."""
    monkeypatch.setattr("arvo_postgres._connections._KEPT", HOUR)
    async with connect_to() as memory:
        await memory.read("order-7")
        pool = memory._connections._pool
        assert (pool.get_size(), pool.get_idle_size()) == (1, 0)
        for _ in range(3):
            await memory.read("order-7")
        assert (pool.get_size(), pool.get_idle_size()) == (1, 0)


async def test_idle_connections_go_back_to_the_pool(connect_to: Connect) -> None:
    """There they are closed when they have idled for long, as asyncpg does it."""
    async with connect_to(pool_size=3) as memory:
        await asyncio.gather(*(memory.read(f"order-{n}") for n in range(10)))
        pool = memory._connections._pool
        async with asyncio.timeout(5):
            while pool.get_idle_size() < 3:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_sessions_of_the_server_are_all_given_back(
    postgres_dsn: str, connect_to: Connect
) -> None:
    """A closed memory leaves no connection behind."""
    async with connect_to(pool_size=3) as memory:
        calls = (on_its_connection(memory, "SELECT pg_backend_pid()") for _ in range(10))
        pids = {row["pg_backend_pid"] for (row,) in await asyncio.gather(*calls)}
        assert len(pids) == 3
    left = list(pids)
    for _ in range(100):
        rows = await fetch(
            postgres_dsn, "SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)", pids
        )
        left = [row["pid"] for row in rows]
        if not left:
            break
    assert left == []
