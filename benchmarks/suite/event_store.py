"""What the event store costs. Run: uv run python -m benchmarks --only event_store."""

# ruff: noqa: S608 - only constants of this file are put into the SQL

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time_ns
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

import asyncpg

from arvo_event_store import Aggregate, IEventLog, NewEvent
from benchmarks.event_stores import EVENT_STORES, OpenEventStore
from benchmarks.servers import postgres_server
from benchmarks.workload import Workload, benchmark

_IN_FLIGHT: Final = 16
_BATCH: Final = 10
_STREAMS: Final = 1_000
_NOTE: Final = "x" * 100
"""Makes the data of an event 120 bytes of JSON."""
_numbers = count()


@dataclass(frozen=True)
class Added:
    """The event of the counters."""

    amount: int
    note: str


_counters = Aggregate(
    category="counter",
    events=[Added],
    initial=int,
    evolve=lambda total, event: total + event.amount,
)


def _new(events: int) -> list[NewEvent]:
    return [NewEvent("Added", {"amount": 7, "note": _NOTE}) for _ in range(events)]


def _appends(store: IEventLog, *, events: int, tasks: int) -> Workload[list[NewEvent], bool]:
    async def append(new: list[NewEvent]) -> bool:
        appended = await store.append(f"counter-{next(_numbers) % _STREAMS}", new)
        return appended.count == events

    return Workload(
        inputs=lambda number: [_new(events) for _ in range(number)],
        operation=append,
        check=lambda appended: appended,
        concurrency=tasks,
        units=events,
    )


async def _fill(store: IEventLog, events: int) -> None:
    for _ in range(events // _BATCH):
        await store.append("counter-full", _new(_BATCH))


def _suite(name: str, opened: OpenEventStore) -> None:
    @benchmark(f"event_store.{name}.append.c1")
    async def append_by_one() -> AsyncIterator[Workload[list[NewEvent], bool]]:
        """One event at a time. The goal is 0.6 of the limit on PostgreSQL, 0.5 on SQLite."""
        async with opened() as store:
            yield _appends(store, events=1, tasks=1)

    @benchmark(f"event_store.{name}.append.c16")
    async def append_by_sixteen() -> AsyncIterator[Workload[list[NewEvent], bool]]:
        """16 tasks append one event at a time. The goal is 0.4 of the limit on PostgreSQL, 3 x one task on SQLite."""
        async with opened() as store:
            yield _appends(store, events=1, tasks=_IN_FLIGHT)

    @benchmark(f"event_store.{name}.append10.c1")
    async def append_tens() -> AsyncIterator[Workload[list[NewEvent], bool]]:
        """Ten events at a time. The goal is 0.6 of the limit on PostgreSQL, 0.4 on SQLite."""
        async with opened() as store:
            yield _appends(store, events=_BATCH, tasks=1)

    @benchmark(f"event_store.{name}.append10.c16")
    async def append_tens_by_sixteen() -> AsyncIterator[Workload[list[NewEvent], bool]]:
        """16 tasks append ten events at a time. The goal is 0.55 of the limit on PostgreSQL."""
        async with opened() as store:
            yield _appends(store, events=_BATCH, tasks=_IN_FLIGHT)

    for events in (1_000, 10_000):
        _load(name, opened, events)

    @benchmark(f"event_store.{name}.fold")
    async def fold() -> AsyncIterator[Workload[int, int]]:
        """The state of an aggregate of 1,000 events, without snapshots; counted in events."""
        async with opened() as store:
            await _fill(store, 1_000)

            async def load(_: int) -> int:
                return int((await _counters.load(store, "full")).state)

            yield Workload(
                inputs=range, operation=load, check=lambda total: total == 7_000, units=1_000
            )


def _load(name: str, opened: OpenEventStore, events: int) -> None:
    @benchmark(f"event_store.{name}.load.{events}")
    async def load() -> AsyncIterator[Workload[int, int]]:
        """All events of a stream, counted in events. The goal is at most 1.4 x the limit's time on PostgreSQL, 1.6 on SQLite."""
        async with opened() as store:
            await _fill(store, events)

            async def read(_: int) -> int:
                found = 0
                async for _event in store.read("counter-full"):
                    found += 1
                return found

            yield Workload(
                inputs=range, operation=read, check=lambda found: found == events, units=events
            )


for _name, _opened in EVENT_STORES.items():
    _suite(_name, _opened)


# --- the bare drivers -------------------------------------------------------
#
# They store and return the same rows as the store: the same columns, with what keeps ids and versions unique,
# and JSON written and read. There is nothing beside: no heads, no other indexes, no horizon.

_TABLE: Final = """
CREATE TABLE event (position {key}, id {id} NOT NULL UNIQUE, stream TEXT NOT NULL, version BIGINT NOT NULL,
    name TEXT NOT NULL, data {json} NOT NULL, meta {json} NOT NULL, correlation TEXT NOT NULL,
    causation {id}, created_at {time} NOT NULL, UNIQUE (stream, version))
"""
_COLUMNS: Final = "id, stream, version, name, data, meta, correlation, causation, created_at"
_SELECT: Final = f"SELECT position, {_COLUMNS} FROM event WHERE stream = 'full' ORDER BY version"
_SQLITE_INSERT: Final = f"INSERT INTO event ({_COLUMNS}) VALUES ({', '.join('?' * 9)})"
_SQLITE_TYPES: Final = {
    "key": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "id": "BLOB",
    "json": "TEXT",
    "time": "INTEGER",
}
_POSTGRES_TYPES: Final = {
    "key": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "id": "UUID",
    "json": "JSON",
    "time": "TIMESTAMPTZ",
}

Row: TypeAlias = tuple[UUID, str, int, dict[str, Any]]
"""The id, the stream, the version and the data of an event."""


def _rows(rows: int) -> list[Row]:
    return [
        (uuid4(), f"counter-{number % _STREAMS}", number, {"amount": 7, "note": _NOTE})
        for number in (next(_numbers) for _ in range(rows))
    ]


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def _sqlite_values(row: Row) -> tuple[Any, ...]:
    id, stream, version, data = row
    now = time_ns() // 1_000
    return (id.bytes, stream, version, "Added", _json(data), "{}", str(id), None, now)


def _postgres_values(row: Row) -> tuple[Any, ...]:
    id, stream, version, data = row
    now = datetime.now(UTC)
    return (id, stream, version, "Added", _json(data), "{}", str(id), None, now)


def _full(rows: int) -> list[Row]:
    return [(uuid4(), "full", version, {"amount": 7, "note": _NOTE}) for version in range(rows)]


@contextmanager
def _bare_sqlite() -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "events.db", isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_TABLE.format(**_SQLITE_TYPES))
            yield connection


def _sqlite_limit(name: str, rows: int) -> None:
    @benchmark(f"limit.event_store.sqlite.{name}")
    async def limit() -> AsyncIterator[Workload[list[Row], bool]]:
        """The same rows on the bare driver, in the calling thread, each call one transaction."""
        with _bare_sqlite() as connection:

            def append(new: list[Row]) -> bool:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_SQLITE_INSERT, [_sqlite_values(row) for row in new])
                connection.execute("COMMIT")
                return True

            yield Workload(
                inputs=lambda number: [_rows(rows) for _ in range(number)],
                operation=append,
                check=lambda done: done,
                units=rows,
            )


_sqlite_limit("append.c1", 1)
_sqlite_limit("append10.c1", _BATCH)


def _sqlite_rows(rows: int) -> None:
    @benchmark(f"limit.event_store.sqlite.load.{rows}")
    async def limit() -> AsyncIterator[Workload[int, int]]:
        """The same rows of a stream with their data read as JSON, in the calling thread, counted in rows."""
        with _bare_sqlite() as connection:
            connection.execute("BEGIN")
            connection.executemany(_SQLITE_INSERT, map(_sqlite_values, _full(rows)))
            connection.execute("COMMIT")

            def read(_: int) -> int:
                return len([json.loads(row[5]) for row in connection.execute(_SELECT)])

            yield Workload(
                inputs=range, operation=read, check=lambda found: found == rows, units=rows
            )


_sqlite_rows(1_000)
_sqlite_rows(10_000)


@asynccontextmanager
async def _bare_postgres() -> AsyncIterator[asyncpg.Pool]:
    with postgres_server() as server:
        async with asyncpg.create_pool(server.dsn, min_size=1, max_size=_IN_FLIGHT) as pool:
            await pool.execute(_TABLE.format(**_POSTGRES_TYPES))
            yield pool


def _insert(rows: int) -> str:
    values = (
        f"({', '.join(f'${column + 9 * row}' for column in range(1, 10))})" for row in range(rows)
    )
    return f"INSERT INTO event ({_COLUMNS}) VALUES {', '.join(values)}"


def _postgres_limit(name: str, rows: int, tasks: int) -> None:
    @benchmark(f"limit.event_store.postgres.{name}")
    async def limit() -> AsyncIterator[Workload[list[Row], bool]]:
        """The same rows on the bare driver, each call one statement; each task has a connection."""
        async with _bare_postgres() as pool, AsyncExitStack() as stack:
            insert = _insert(rows)
            # Without the pool, which sends one more statement whenever one is given back.
            free = [await stack.enter_async_context(pool.acquire()) for _ in range(tasks)]

            async def append(new: list[Row]) -> bool:
                connection = free.pop()
                await connection.execute(
                    insert, *(value for row in new for value in _postgres_values(row))
                )
                free.append(connection)
                return True

            yield Workload(
                inputs=lambda number: [_rows(rows) for _ in range(number)],
                operation=append,
                check=lambda done: done,
                concurrency=tasks,
                units=rows,
            )


_postgres_limit("append.c1", 1, 1)
_postgres_limit("append.c16", 1, _IN_FLIGHT)
_postgres_limit("append10.c1", _BATCH, 1)
_postgres_limit("append10.c16", _BATCH, _IN_FLIGHT)


def _postgres_rows(rows: int) -> None:
    @benchmark(f"limit.event_store.postgres.load.{rows}")
    async def limit() -> AsyncIterator[Workload[int, int]]:
        """The same rows of a stream with their data read as JSON, counted in rows."""
        async with _bare_postgres() as pool:
            await pool.executemany(_insert(1), [_postgres_values(row) for row in _full(rows)])
            async with pool.acquire() as connection:

                async def read(_: int) -> int:
                    found = await connection.fetch(_SELECT)
                    return len([json.loads(row["data"]) for row in found])

                yield Workload(
                    inputs=range, operation=read, check=lambda found: found == rows, units=rows
                )


_postgres_rows(1_000)
_postgres_rows(10_000)
