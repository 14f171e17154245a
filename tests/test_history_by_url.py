"""The history of the memories that Arvo brings, by URL: who keeps it, and who only looks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg
import pytest
from real_servers.fixtures import (
    StartRedis,
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    redis_flavour as redis_flavour,
    start_redis as start_redis,
)

from arvo_event_handler.memory import IStepHistory, connect_memory
from arvo_event_handler.testing._committed_journal import Commit, CommittedJournal

WEEK = timedelta(days=7)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db?ttl=10s"


@pytest.fixture
async def postgres(postgres_dsn: str) -> AsyncIterator[str]:
    schema = f"test_{token_hex(6)}"
    yield f"{postgres_dsn}?schema={schema}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.close()


@pytest.fixture
def redis(start_redis: StartRedis) -> str:
    return f"redis://127.0.0.1:{start_redis().port}?prefix=shop"


@pytest.fixture
def urls(sqlite: str, postgres: str, redis: str) -> list[str]:
    """Return the URLs of all memories that processes share."""
    return [sqlite, postgres, redis]


def connect(url: str) -> Any:
    return connect_memory(url)


async def test_without_the_option_a_memory_keeps_no_history(urls: list[str]) -> None:
    for url in urls:
        for ending, history in [("", None), ("&history=none", None), ("&history=7d", WEEK)]:
            async with connect(f"{url}{ending}") as memory:
                assert isinstance(memory, IStepHistory)
                assert memory.history == history
    async with connect("memory:?history=36h") as memory:
        assert memory.history == timedelta(hours=36)


async def test_a_memory_without_history_shows_what_others_keep_until_it_frees_chunks(
    urls: list[str],
) -> None:
    for url in urls:
        journal = CommittedJournal("order-7", history=True)
        async with connect(f"{url}&history=7d") as keeping, connect(url) as other:
            await commit(journal, keeping, "chunk", "tail", "base")
            assert await other.steps("order-7") == journal.entries
            await commit(journal, other, "chunk")
            assert await other.steps("order-7") == journal.entries
            await commit(journal, other, "base")
            assert await keeping.steps("order-7") == journal.entries[-1:]
            await commit(journal, keeping, "chunk", "tail", "base", "end")
            assert await keeping.steps("order-7") == await other.steps("order-7")
            assert await other.steps("order-7") == journal.entries[4:]


async def test_a_read_only_memory_shows_a_history_and_cannot_keep_one(
    urls: list[str],
) -> None:
    for url in urls:
        journal = CommittedJournal("order-7", history=True)
        async with connect(f"{url}&history=7d") as keeping:
            await commit(journal, keeping, "chunk", "base", "tail")
        async with connect(f"{url}&read_only=true") as looking:
            assert await looking.steps("order-7") == journal.entries
            assert len((await looking.times(["order-7"]))["order-7"]) == 2
        with pytest.raises(ValueError, match=r"history .* cannot be set with read_only"):
            async with connect(f"{url}&read_only=true&history=7d"):
                pass


async def commit(journal: CommittedJournal, memory: Any, *commits: Commit) -> None:
    for how in commits:
        await journal.commit(memory, how)
