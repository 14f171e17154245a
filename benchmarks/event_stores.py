"""Event stores to measure, each with nothing in it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from arvo_event_store import MemoryEventStore, SqliteEventStore
from arvo_event_store.postgres import PostgresEventStore
from benchmarks.servers import postgres_server

OpenEventStore: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens an empty store."""


@asynccontextmanager
async def _memory() -> AsyncIterator[MemoryEventStore]:
    async with MemoryEventStore() as store:
        yield store


@asynccontextmanager
async def _sqlite() -> AsyncIterator[SqliteEventStore]:
    with TemporaryDirectory() as folder:
        async with SqliteEventStore.connect(Path(folder) / "events.db") as store:
            yield store


@asynccontextmanager
async def _postgres() -> AsyncIterator[PostgresEventStore]:
    with postgres_server() as server:
        async with PostgresEventStore.connect(server.dsn) as store:
            await store.migrate()
            yield store


EVENT_STORES: Final[Mapping[str, OpenEventStore]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
}
"""All of them, by the name that benchmarks have."""
