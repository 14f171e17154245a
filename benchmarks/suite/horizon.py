"""What it costs that a reader of the event log misses nothing. Run: uv run python -m benchmarks --only horizon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final
from unittest.mock import patch

from arvo_event_store import NewEvent
from arvo_event_store.postgres import PostgresEventStore, _append_sql
from benchmarks.servers import postgres_server
from benchmarks.workload import Workload, benchmark

_WRITERS: Final = 12
_NOTE: Final = "x" * 100
_numbers = count()


@benchmark("horizon.protection")
async def protected() -> AsyncIterator[Workload[NewEvent, bool]]:
    """12 tasks append to streams of their own. The goal is 0.85 of the limit."""
    async with _postgres() as store:
        yield await _appends(store)


@benchmark("limit.horizon.protection")
async def unprotected() -> AsyncIterator[Workload[NewEvent, bool]]:
    """The same without the lock from which the horizon is told: its readers would miss events."""
    async with _postgres() as store:
        # The statement is written with the first append, which is made here.
        with patch.object(_append_sql, "_FLOOR", "0"):
            workload = await _appends(store)
        yield workload


async def _appends(store: PostgresEventStore) -> Workload[NewEvent, bool]:
    async def append(new: NewEvent) -> bool:
        appended = await store.append(f"counter-{next(_numbers)}", [new])
        return appended.version == 0

    await append(_new())
    return Workload(
        inputs=lambda number: [_new() for _ in range(number)],
        operation=append,
        check=lambda is_first: is_first,
        concurrency=_WRITERS,
    )


def _new() -> NewEvent:
    return NewEvent("Added", {"amount": 7, "note": _NOTE})


@asynccontextmanager
async def _postgres() -> AsyncIterator[PostgresEventStore]:
    with postgres_server() as server:
        async with PostgresEventStore.connect(server.dsn, pool_size=_WRITERS) as store:
            await store.migrate()
            yield store
