"""Workflows that the version before timers has stored go on, in every memory that outlives a process."""

import json
import sqlite3
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from real_servers.fixtures import (
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    redis_flavour as redis_flavour,
    redis_server as redis_server,
    redis_url as redis_url,
)
from redis.asyncio import Redis

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.memory import ITimedMachineMemory, connect_memory, migrate_memory

TARGETS = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets"
sys.path.insert(0, str(TARGETS))  # the command does the same

import porter  # noqa: E402
import tally  # noqa: E402

STORED: Any = json.loads((Path(__file__).parent / "stored" / "before_timers.json").read_text())
"""A statechart and a function half-way, as the commit before timers has stored them in each memory."""
SCHEMA = "before_timers"
ENDS = [{"text": "Ann may come in"}, {"letters": 4}]


@pytest.fixture
def sqlite_before(tmp_path: Path) -> str:
    path = tmp_path / "before.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in STORED["sqlite"]:
            connection.execute(statement)
    return f"sqlite:///{path}"


@pytest.fixture
async def postgres_before(postgres_dsn: str) -> AsyncIterator[str]:
    connection = await asyncpg.connect(postgres_dsn)
    drop = f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
    try:
        await connection.execute(drop)
        await connection.execute(STORED["postgres"]["schema"])
        for table, rows in STORED["postgres"]["rows"].items():
            name = f"{SCHEMA}.{table}"
            await connection.execute(f"TRUNCATE {name} CASCADE")
            await connection.execute(
                f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, $1)",  # noqa: S608
                json.dumps(rows),
            )
        yield f"{postgres_dsn}?schema={SCHEMA}"
    finally:
        await connection.execute(drop)
        await connection.close()


@pytest.fixture
async def redis_before(redis_url: str) -> AsyncIterator[str]:
    client = Redis.from_url(redis_url)
    keys = {b64decode(key): found for key, found in STORED["redis"].items()}
    try:
        for key, found in keys.items():
            if found["type"] == "hash":
                fields = found["value"].items()
                await client.hset(
                    key, mapping={b64decode(name): b64decode(value) for name, value in fields}
                )
            else:
                members = found["value"].items()
                await client.zadd(key, {b64decode(member): score for member, score in members})
        yield f"{redis_url}?prefix={SCHEMA}:"
    finally:
        await client.delete(*keys)
        await client.aclose()


async def check_that_they_go_on(url: str, workflows: Any) -> None:
    """Start each workflow again, as a run does, then answer what it asks."""
    await migrate_memory(url)
    ends = []
    async with connect_memory(url) as memory:
        assert isinstance(memory, ITimedMachineMemory)
        for stored in workflows:
            init, answer = (ArvoEvent.from_dict(stored[name]) for name in ("init", "answer"))
            assert await memory.read(init.subject) == stored["record"], "it is read unchanged"
            [asked] = await handler(init, memory).execute(init)
            assert asked.to_dict() == stored["open"]
            assert await memory.read(init.subject) == stored["record"], "and left unchanged"
            [done] = await handler(init, memory).execute(answer)
            ends.append(done.data)
        assert await memory.next_due() is None
    assert ends == ENDS


def handler(init: ArvoEvent, memory: ITimedMachineMemory) -> IArvoEventHandler:
    """Return the handler of a workflow, which remembers nothing."""
    found = [*porter.create_handlers(memory), *tally.create_handlers(memory)]
    return next(each for each in found if each.source == init.type)


async def test_those_in_a_file_of_sqlite_go_on(sqlite_before: str) -> None:
    await check_that_they_go_on(sqlite_before, STORED["workflows"]["sqlite"])


async def test_those_in_postgresql_go_on(postgres_before: str) -> None:
    await check_that_they_go_on(postgres_before, STORED["workflows"]["postgres"])


async def test_those_in_redis_go_on(redis_before: str) -> None:
    await check_that_they_go_on(redis_before, STORED["workflows"]["redis"])
