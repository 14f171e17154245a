"""What a step of a workflow costs in a SQLite file, and what the bare driver needs for the same.

Run: uv run python -m benchmarks --only sqlite.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from arvo_event_handler.memory import DueMachine, NextTimer, Record, RecordWrite, encode_record
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory
from benchmarks.pending_timers import HOLD, claims, sqlite_timers
from benchmarks.workload import Workload, WrongResultError, benchmark

T = TypeVar("T")

_RECORD: Record = {
    "executionStatus": "normal",
    "status": "active",
    "parentSubject": None,
    "events": [{"id": f"event-{number:04}", "data": "x" * 40} for number in range(26)],
}
_BYTES = encode_record(_RECORD)
_STEP = record_write(_RECORD)
_TOMORROW: Final = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
_GROUP: Final = 50

_LOCK: Final = """
INSERT INTO machine VALUES (?, 'me', 1, 0, NULL)
ON CONFLICT (id) DO UPDATE SET owner = 'me', lease_end = 1 WHERE owner IS NULL
RETURNING version, state"""
_COMMIT: Final = """
UPDATE machine SET owner = NULL, lease_end = 0, version = version + 1, state = ?
WHERE id = ? AND owner = 'me' AND version = ?"""
_READ: Final = "SELECT state FROM machine WHERE id = ?"
_WRITE: Final = "UPDATE machine SET state = ?, version = version + 1 WHERE id = ?"
_UNLOCK: Final = "UPDATE machine SET owner = NULL, lease_end = 0 WHERE id = ? AND owner = 'me'"


@benchmark("memory.sqlite.c1")
async def one_task() -> AsyncIterator[Workload[str, bool]]:
    """Acquire and commit a record of 2 KB, each flushed as it must be: one task."""
    async for workload in _memory(concurrency=1):
        yield workload


@benchmark("memory.sqlite.c50")
async def fifty_tasks() -> AsyncIterator[Workload[str, bool]]:
    """The same from 50 tasks, whose writes share flushes: three times the rate of one task."""
    async for workload in _memory(concurrency=50):
        yield workload


@benchmark("memory.sqlite.timed.c50")
async def fifty_tasks_with_timers() -> AsyncIterator[Workload[str, bool]]:
    """The same where each commit moves a timer: three quarters of the rate without."""
    async for workload in _memory(concurrency=50, timed=True):
        yield workload


@benchmark("timers.sqlite.claim")
async def claims_of_timers() -> AsyncIterator[Workload[int, Sequence[DueMachine]]]:
    """Timers claimed, a hundred at a time, of 100,000 that are due."""
    async with sqlite_timers(100_000) as memory:
        yield claims(memory, hold=HOLD)


@benchmark("limit.sqlite.c1")
async def limit_by_one() -> AsyncIterator[Workload[str, bool]]:
    """The same two transactions on the bare driver, in the calling thread, for one task."""
    with _bare() as connection:

        def operation(machine_id: str) -> bool:
            (version,) = _acquire(connection, [machine_id])
            return _commit(connection, [machine_id], [version])

        yield Workload(inputs=_ids, operation=operation, check=lambda written: written)


@benchmark("limit.sqlite.c50")
async def limit_by_fifty() -> AsyncIterator[Workload[Sequence[str], bool]]:
    """Steps of 50 tasks in two transactions of the calling thread: the best for a group commit."""
    with _bare() as connection:

        def operation(machine_ids: Sequence[str]) -> bool:
            return _commit(connection, machine_ids, _acquire(connection, machine_ids))

        yield Workload(
            inputs=lambda count: [_ids(_GROUP) for _ in range(count)],
            operation=operation,
            check=lambda written: written,
            units=_GROUP,
        )


@benchmark("limit.sqlite.thread.c1")
async def limit_in_a_thread() -> AsyncIterator[Workload[str, bool]]:
    """The same on the bare driver, each transaction in a thread so that the event loop is free."""
    with _bare() as connection, ThreadPoolExecutor(1) as thread:

        async def operation(machine_id: str) -> bool:
            (version,) = await _in(thread, lambda: _acquire(connection, [machine_id]))
            return await _in(thread, lambda: _commit(connection, [machine_id], [version]))

        yield Workload(inputs=_ids, operation=operation, check=lambda written: written)


@benchmark("naive.sqlite.c1")
async def naive_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Lock, read, write, unlock by one task, each in a transaction of a thread of its own."""
    async for workload in _naive(concurrency=1):
        yield workload


@benchmark("naive.sqlite.c50")
async def naive_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Lock, read, write, unlock by 50 tasks, one transaction after the other."""
    async for workload in _naive(concurrency=50):
        yield workload


async def _memory(*, concurrency: int, timed: bool = False) -> AsyncIterator[Workload[str, bool]]:
    writes = map(_timed_step, count()) if timed else repeat(_STEP)
    with TemporaryDirectory() as folder:
        async with SqliteMachineMemory.connect(Path(folder) / "state.db") as memory:

            async def operation(machine_id: str) -> bool:
                lease = await memory.acquire(machine_id)
                if lease is None:
                    raise WrongResultError(f"{machine_id} is held by another task")
                await memory.commit(lease, next(writes))
                return True

            yield Workload(
                inputs=_ids,
                operation=operation,
                check=lambda written: written,
                concurrency=concurrency,
            )


def _timed_step(number: int) -> RecordWrite:
    at = _TOMORROW + timedelta(milliseconds=number)
    return replace(_STEP, timer=NextTimer(at=at, key="payment#3f9c1d2ab4e5f607"))


async def _naive(*, concurrency: int) -> AsyncIterator[Workload[str, bool]]:
    with _bare() as connection, ThreadPoolExecutor(1) as thread:

        async def operation(machine_id: str) -> bool:
            await _in(thread, lambda: connection.execute(_LOCK, (machine_id,)).fetchone())
            await _in(thread, lambda: connection.execute(_READ, (machine_id,)).fetchone())
            await _in(thread, lambda: connection.execute(_WRITE, (_BYTES, machine_id)))
            return (
                await _in(thread, lambda: connection.execute(_UNLOCK, (machine_id,)))
            ).rowcount == 1

        yield Workload(
            inputs=_ids,
            operation=operation,
            check=lambda written: written,
            concurrency=concurrency,
        )


async def _in(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _ids(count: int) -> list[str]:
    """A hundred workflows in turn, so that most steps find a record."""
    return [f"order-{number % 100}" for number in range(count)]


@contextmanager
def _bare() -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory() as folder:
        connection = sqlite3.connect(
            Path(folder) / "state.db", isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE machine (id TEXT PRIMARY KEY, owner TEXT, lease_end INTEGER NOT NULL, "
            "version INTEGER NOT NULL, state BLOB) STRICT"
        )
        yield connection
        connection.close()


def _acquire(connection: sqlite3.Connection, machine_ids: Sequence[str]) -> list[int]:
    # As the memory does it: a lease need not be on the disk.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    rows = [connection.execute(_LOCK, (machine_id,)).fetchone() for machine_id in machine_ids]
    connection.execute("COMMIT")
    return [version for version, _ in rows]


def _commit(
    connection: sqlite3.Connection, machine_ids: Sequence[str], versions: Sequence[int]
) -> bool:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    written = sum(
        connection.execute(_COMMIT, (_BYTES, machine_id, version)).rowcount
        for machine_id, version in zip(machine_ids, versions, strict=True)
    )
    connection.execute("COMMIT")
    return written == len(machine_ids)
