"""What a step of a workflow costs in a SQLite file, and what the bare driver needs for the same.

Run: uv run python -m benchmarks --only memory.sqlite, and --only limit.sqlite.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from arvo_event_handler import Record, encode_record
from arvo_memory_sqlite import SqliteMachineMemory
from benchmarks.workload import Workload, WrongResultError, benchmark

_RECORD: Record = {
    "executionStatus": "normal",
    "status": "active",
    "parentSubject": None,
    "events": [{"id": f"event-{number:04}", "data": "x" * 40} for number in range(26)],
}
_BYTES = encode_record(_RECORD)


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


@benchmark("limit.sqlite.c1")
async def bare_driver() -> AsyncIterator[Workload[str, bool]]:
    """The same two transactions on the bare driver, in the calling thread, for one task."""
    with TemporaryDirectory() as folder:
        connection = _connect(Path(folder) / "state.db")

        def operation(machine_id: str) -> bool:
            version = _acquire(connection, machine_id)
            return _commit(connection, machine_id, version)

        yield Workload(inputs=_ids, operation=operation, check=lambda written: written)
        connection.close()


@benchmark("limit.sqlite.thread.c1")
async def bare_driver_in_a_thread() -> AsyncIterator[Workload[str, bool]]:
    """The same on the bare driver, each transaction in a thread so that the event loop is free."""
    with TemporaryDirectory() as folder:
        connection = _connect(Path(folder) / "state.db")

        async def operation(machine_id: str) -> bool:
            version = await asyncio.to_thread(_acquire, connection, machine_id)
            return await asyncio.to_thread(_commit, connection, machine_id, version)

        yield Workload(inputs=_ids, operation=operation, check=lambda written: written)
        connection.close()


async def _memory(*, concurrency: int) -> AsyncIterator[Workload[str, bool]]:
    with TemporaryDirectory() as folder:
        async with SqliteMachineMemory.open(Path(folder) / "state.db") as memory:

            async def operation(machine_id: str) -> bool:
                lease = await memory.acquire(machine_id)
                if lease is None:
                    raise WrongResultError(f"{machine_id} is held by another task")
                await memory.commit(lease, _RECORD)
                return True

            yield Workload(
                inputs=_ids,
                operation=operation,
                check=lambda written: written,
                concurrency=concurrency,
            )


def _ids(count: int) -> list[str]:
    """A hundred workflows in turn, so that most steps find a record."""
    return [f"order-{number % 100}" for number in range(count)]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE machine (id TEXT PRIMARY KEY, owner TEXT, lease_end INTEGER NOT NULL, "
        "version INTEGER NOT NULL, state BLOB) STRICT"
    )
    return connection


def _acquire(connection: sqlite3.Connection, machine_id: str) -> int:
    connection.execute("BEGIN IMMEDIATE")
    version, _ = connection.execute(
        "INSERT INTO machine VALUES (?, 'me', 1, 0, NULL) ON CONFLICT (id) DO UPDATE "
        "SET owner = 'me', lease_end = 1 WHERE owner IS NULL RETURNING version, state",
        (machine_id,),
    ).fetchone()
    connection.execute("COMMIT")
    return int(version)


def _commit(connection: sqlite3.Connection, machine_id: str, version: int) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    written = connection.execute(
        "UPDATE machine SET owner = NULL, lease_end = 0, version = version + 1, state = ? "
        "WHERE id = ? AND owner = 'me' AND version = ?",
        (_BYTES, machine_id, version),
    ).rowcount
    connection.execute("COMMIT")
    return written == 1
