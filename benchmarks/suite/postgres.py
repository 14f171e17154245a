"""What a step on PostgreSQL costs. Run: uv run python -m benchmarks --only memory.postgres."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import asyncpg
from typing_extensions import override

from arvo_event_handler.memory import DueMachine, NextTimer, Record, RecordWrite, encode_record
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from benchmarks.pending_timers import SHORT_HOLD, claims, postgres_timers
from benchmarks.servers import postgres_server
from benchmarks.workload import Workload, benchmark

_RECORD: Record = {"status": "active", "note": "x" * 2000}
_BYTES = encode_record(_RECORD)
_STEP = record_write(_RECORD)
_TTL = timedelta(seconds=30)
_TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
_LATER = (timedelta(milliseconds=number) for number in count())

_LOCK = """
INSERT INTO bare AS b (key, owner, until) VALUES ($1, $2, clock_timestamp() + $3)
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE b.owner IS NULL OR b.until <= clock_timestamp()
RETURNING version, state"""
_COMMIT = """
UPDATE bare SET state = $3, version = version + 1, owner = NULL, until = NULL
WHERE key = $1 AND owner = $2 RETURNING version"""
_READ = "SELECT state FROM bare WHERE key = $1"
_WRITE = "UPDATE bare SET state = $2, version = version + 1 WHERE key = $1"
_UNLOCK = "UPDATE bare SET owner = NULL, until = NULL WHERE key = $1 AND owner = $2"

Step = Callable[[str], Awaitable[bool]]


@benchmark("memory.postgres.c1")
async def memory_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Steps (acquire, commit) of one task, at least 0.85 of limit.postgres.c1."""
    async with _memory() as step:
        yield _steps(step, tasks=1)


@benchmark("memory.postgres.c20")
async def memory_by_twenty() -> AsyncIterator[Workload[str, bool]]:
    """Steps (acquire, commit) of 20 tasks, at least 0.85 of limit.postgres.c20."""
    async with _memory() as step:
        yield _steps(step, tasks=20)


@benchmark("memory.postgres.c50")
async def memory_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Steps of 50 tasks that set no timer."""
    async with _memory() as step:
        yield _steps(step, tasks=50)


@benchmark("memory.postgres.timed.c50")
async def memory_with_timers_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Steps of 50 tasks, of which each moves a timer: at least 0.75 of memory.postgres.c50."""
    async with _memory(timed=True) as step:
        yield _steps(step, tasks=50)


@benchmark("timers.postgres.claim")
async def claims_of_timers() -> AsyncIterator[Workload[int, Sequence[DueMachine]]]:
    """Timers claimed, a hundred at a time, of 100,000 that are due."""
    async with postgres_timers(100_000) as memory:
        yield claims(memory, hold=SHORT_HOLD)


@benchmark("limit.postgres.c1")
async def limit_by_one() -> AsyncIterator[Workload[str, bool]]:
    """The same two statements by one task on the bare driver: what a memory cannot exceed."""
    async with _bare_pool(reset=False) as pool:
        yield _steps(_two_statements(pool), tasks=1)


@benchmark("limit.postgres.c20")
async def limit_by_twenty() -> AsyncIterator[Workload[str, bool]]:
    """The same two statements by 20 tasks on the bare driver."""
    async with _bare_pool(reset=False) as pool:
        yield _steps(_two_statements(pool), tasks=20)


@benchmark("naive.postgres.c1")
async def naive_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Lock, read, write, unlock by one task on the driver as it comes: what it is 1.5x of."""
    async with _bare_pool(reset=True) as pool:
        yield _steps(_four_statements(pool), tasks=1)


@benchmark("naive.postgres.c20")
async def naive_by_twenty() -> AsyncIterator[Workload[str, bool]]:
    """Lock, read, write, unlock by 20 tasks on the driver as it comes."""
    async with _bare_pool(reset=True) as pool:
        yield _steps(_four_statements(pool), tasks=20)


class _Plain(asyncpg.Connection):  # type: ignore[misc] # untyped
    @override
    def get_reset_query(self) -> str:
        return ""


@asynccontextmanager
async def _memory(*, timed: bool = False) -> AsyncIterator[Step]:
    with postgres_server() as server:
        async with PostgresMachineMemory.connect(server.dsn, pool_size=20) as memory:
            await memory.migrate()

            async def step(machine_id: str) -> bool:
                lease = await memory.acquire(machine_id)
                if lease is None:
                    return False
                await memory.commit(lease, _timed_step() if timed else _STEP)
                return True

            yield step


@asynccontextmanager
async def _bare_pool(*, reset: bool) -> AsyncIterator[asyncpg.Pool]:
    with postgres_server() as server:
        async with asyncpg.create_pool(
            server.dsn,
            min_size=1,
            max_size=20,
            connection_class=asyncpg.Connection if reset else _Plain,
        ) as pool:
            await pool.execute(
                "CREATE TABLE bare (key text PRIMARY KEY, version bigint NOT NULL DEFAULT 0, "
                "state bytea, owner text, until timestamptz) WITH (fillfactor = 70)"
            )
            yield pool


def _timed_step() -> RecordWrite:
    """Return a step that moves a timer to where no other one was."""
    return record_write(_RECORD, timer=NextTimer(at=_TOMORROW + next(_LATER), key="payment#1"))


def _two_statements(pool: asyncpg.Pool) -> Step:
    async def step(machine_id: str) -> bool:
        owner = secrets.token_hex(16)
        await pool.fetch(_LOCK, machine_id, owner, _TTL)
        return bool(await pool.fetch(_COMMIT, machine_id, owner, _BYTES))

    return step


def _four_statements(pool: asyncpg.Pool) -> Step:
    async def step(machine_id: str) -> bool:
        owner = secrets.token_hex(16)
        await pool.fetch(_LOCK, machine_id, owner, _TTL)
        await pool.fetch(_READ, machine_id)
        await pool.execute(_WRITE, machine_id, _BYTES)
        return bool(await pool.execute(_UNLOCK, machine_id, owner))

    return step


def _steps(step: Step, *, tasks: int) -> Workload[str, bool]:
    numbers = count()

    async def run(machine_id: str) -> bool:
        return await step(machine_id)

    # Far more workflows than tasks, so that no two tasks meet in one.
    return Workload(
        inputs=lambda n: [f"order-{next(numbers) % 1000}" for _ in range(n)],
        operation=run,
        check=lambda done: done,
        concurrency=tasks,
    )
