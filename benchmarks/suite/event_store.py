"""What the event store costs. Run: uv run python -m benchmarks --only event_store."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

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
_DATA: Final = json.dumps({"amount": 7, "note": _NOTE}, separators=(",", ":"))
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

_TABLE: Final = """
CREATE TABLE event (position {key}, stream TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL,
    data TEXT NOT NULL, UNIQUE (stream, version))
"""
_INSERT: Final = "INSERT INTO event (stream, version, name, data) VALUES ({values})"
_SELECT: Final = (
    "SELECT position, version, name, data FROM event WHERE stream = 'full' ORDER BY version"
)


def _rows(rows: int) -> list[tuple[str, int, str, str]]:
    return [
        (f"counter-{number % _STREAMS}", number, "Added", _DATA)
        for number in (next(_numbers) for _ in range(rows))
    ]


def _full() -> list[tuple[str, int, str, str]]:
    return [("full", number, "Added", _DATA) for number in range(1_000)]


@contextmanager
def _bare_sqlite() -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "events.db", isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_TABLE.format(key="INTEGER PRIMARY KEY AUTOINCREMENT"))
            yield connection


def _sqlite_limit(name: str, rows: int) -> None:
    @benchmark(f"limit.event_store.sqlite.{name}")
    async def limit() -> AsyncIterator[Workload[list[tuple[str, int, str, str]], bool]]:
        """Bare rows on the bare driver, in the calling thread, each call one transaction."""
        with _bare_sqlite() as connection:
            insert = _INSERT.format(values="?, ?, ?, ?")

            def append(new: list[tuple[str, int, str, str]]) -> bool:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(insert, new)
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


@benchmark("limit.event_store.sqlite.load.1000")
async def sqlite_rows() -> AsyncIterator[Workload[int, int]]:
    """1,000 bare rows of a stream with their data read as JSON, counted in rows."""
    with _bare_sqlite() as connection:
        connection.execute("BEGIN")
        connection.executemany(_INSERT.format(values="?, ?, ?, ?"), _full())
        connection.execute("COMMIT")

        def read(_: int) -> int:
            return len([json.loads(row[3]) for row in connection.execute(_SELECT)])

        yield Workload(
            inputs=range, operation=read, check=lambda found: found == 1_000, units=1_000
        )


@asynccontextmanager
async def _bare_postgres() -> AsyncIterator[asyncpg.Pool]:
    with postgres_server() as server:
        async with asyncpg.create_pool(server.dsn, min_size=1, max_size=_IN_FLIGHT) as pool:
            await pool.execute(_TABLE.format(key="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"))
            yield pool


def _postgres_limit(name: str, rows: int, tasks: int) -> None:
    values = ", ".join(
        f"(${4 * row + 1}, ${4 * row + 2}, ${4 * row + 3}, ${4 * row + 4})" for row in range(rows)
    )

    @benchmark(f"limit.event_store.postgres.{name}")
    async def limit() -> AsyncIterator[Workload[list[tuple[str, int, str, str]], bool]]:
        """Bare rows on the bare driver, each call one statement; each task has a connection."""
        async with _bare_postgres() as pool:
            insert = _INSERT.format(values="").removesuffix("()") + values

            async def append(new: list[tuple[str, int, str, str]]) -> bool:
                await pool.execute(insert, *(value for row in new for value in row))
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


@benchmark("limit.event_store.postgres.load.1000")
async def postgres_rows() -> AsyncIterator[Workload[int, int]]:
    """1,000 bare rows of a stream with their data read as JSON, counted in rows."""
    async with _bare_postgres() as pool:
        await pool.executemany(_INSERT.format(values="$1, $2, $3, $4"), _full())

        async def read(_: int) -> int:
            return len([json.loads(row["data"]) for row in await pool.fetch(_SELECT)])

        yield Workload(
            inputs=range, operation=read, check=lambda found: found == 1_000, units=1_000
        )
