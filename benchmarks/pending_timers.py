"""Memories full of timers that are due."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import asyncpg
from redis.asyncio import Redis
from typing_extensions import override

from arvo_event_handler.memory import DueMachine, ITimedMachineMemory
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_time import SystemClock
from benchmarks.servers import postgres_server, redis_server
from benchmarks.workload import Workload

CLAIMED_TOGETHER: Final = 100
"""How many timers one claim takes, as a pump does."""
HOLD: Final = timedelta(seconds=30)
SHORT_HOLD: Final = timedelta(microseconds=1)
"""After this, what was claimed is due again, behind all others."""
PendingTimers: TypeAlias = Callable[[int], AbstractAsyncContextManager[ITimedMachineMemory]]
"""Opens a memory with that many workflows, each with a timer that is due."""

# The rows that real workflows would have left.
_FILL_MACHINES: Final = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO machine (id, version, status, key, source, contract_version, initiator, root,
    created_at, updated_at, codec, state)
SELECT 'order-' || n, 3, 'active', 'key-' || n, 'arvo.orc.service', '1.0.0', 'com.app.main',
    'order-' || n, 1577836800000 + n, 1577836800000 + n, 'json', zeroblob(700)
FROM numbers
"""
_FILL_TIMERS: Final = """
INSERT INTO due (machine, at, key, ready_at, claims)
SELECT seq, created_at, 'payment#3f9c1d2ab4e5f607', created_at, 0 FROM machine
"""
_POSTGRES_FILL: Final = """
INSERT INTO arvo.machines (key, machine_id, version, status, workflow_key, source, root, codec, state)
SELECT decode(md5(n::text), 'hex'), 'order-' || n, 3, 'active', 'key-' || n, 'arvo.orc.service',
    'order-' || n, 'json', convert_to(repeat(md5(n::text), 22), 'UTF8')
FROM generate_series(1, $1::int) AS n
"""
_POSTGRES_FILL_TIMERS: Final = """
INSERT INTO arvo.machines_due (machine, life, at, key, held_until, claims)
SELECT key, created_at, created_at, 'payment#3f9c1d2ab4e5f607', created_at, 0 FROM arvo.machines
"""
_REDIS_FILL: Final = """
for n = ARGV[1], ARGV[2] do
    local base, member = '{arvo:' .. n % 256 .. '}', string.format('%032x', n)
    redis.call('HSET', base .. 'm:' .. member, 'subject', 'order-' .. n, 'version', 3, 'codec', 'json',
        'state', string.rep('.', 700), 'due_at', n, 'due_key', 'payment#3f9c1d2ab4e5f607', 'due_claims', 0)
    redis.call('ZADD', base .. 'due', n, member)
end
"""


def claims(memory: ITimedMachineMemory, *, hold: timedelta) -> Workload[int, Sequence[DueMachine]]:
    """Claim what is due, as a pump does."""

    async def operation(_: int) -> Sequence[DueMachine]:
        return await memory.claim_due(limit=CLAIMED_TOGETHER, hold=hold)

    return Workload(
        inputs=range,
        operation=operation,
        check=lambda claimed: len(claimed) == CLAIMED_TOGETHER,
        units=CLAIMED_TOGETHER,
    )


class PassingDays(SystemClock):
    """Every look at it is a day later, so that what was claimed is due again."""

    def __init__(self) -> None:
        self._days = timedelta()

    @override
    def now(self) -> datetime:
        self._days += timedelta(days=1)
        return super().now() + self._days


@asynccontextmanager
async def sqlite_timers(pending: int) -> AsyncIterator[SqliteMachineMemory]:
    """Open a file with that many workflows, each with a timer that is due."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        async with SqliteMachineMemory.connect(path, clock=PassingDays()) as memory:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(_FILL_MACHINES, (pending,))
                connection.execute(_FILL_TIMERS)
                connection.commit()
            yield memory


@asynccontextmanager
async def postgres_timers(pending: int) -> AsyncIterator[PostgresMachineMemory]:
    """Open a database with that many workflows, each with a timer that is due."""
    with postgres_server() as server:
        async with PostgresMachineMemory.connect(server.dsn) as memory:
            await memory.migrate()
            connection = await asyncpg.connect(server.dsn)
            try:
                await connection.execute(_POSTGRES_FILL, pending)
                await connection.execute(_POSTGRES_FILL_TIMERS)
                await connection.execute("VACUUM ANALYZE arvo.machines, arvo.machines_due")
            finally:
                await connection.close()
            yield memory


@asynccontextmanager
async def redis_timers(pending: int) -> AsyncIterator[RedisMachineMemory]:
    """Run a server with that many workflows, each with a timer that is due."""
    with redis_server() as server:
        async with (
            RedisMachineMemory.connect(server.url) as memory,
            Redis.from_url(server.url) as client,
        ):
            for first in range(1, pending + 1, 10_000):
                last = min(first + 9_999, pending)
                await client.eval(_REDIS_FILL, 0, str(first), str(last))
            yield memory
