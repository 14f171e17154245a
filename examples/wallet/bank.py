"""The bank: a store of events, named by a URL, and the table of balances beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from arvo_event_store import IEventStore, MemoryEventStore, SqliteEventStore
from arvo_event_store.postgres import PostgresEventStore

from .balances import Balances, MemoryBalances, PostgresBalances, SqliteBalances

MEMORY: Final = "memory:"
"""The URL of a store in this process."""
SCHEMA: Final = "wallet"
"""The schema of all tables on PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Bank:
    """What all programs of the bank work on."""

    store: IEventStore
    """Where the events are."""
    balances: Balances
    """The table."""


@asynccontextmanager
async def open_bank(url: str, *, create: bool = False, **options: Any) -> AsyncIterator[Bank]:
    """Open a bank for as long as the block lasts.

    Args:
        url: `memory:`; `sqlite:///relative.db` or `sqlite:////absolute.db`, with
            `?synchronous=normal` if wanted; or `postgresql://user:password@host/database`.
        create: Whether to make the tables that are missing, once, before workers are started.
        options: Further arguments for the store's `connect`.

    Raises:
        ValueError: The URL names none of these.
        StoreFailure: The database cannot be reached.
        SchemaError: The tables are missing, older or newer.
    """
    parts = urlsplit(url)
    if url == MEMORY:
        async with MemoryEventStore() as memory:
            yield Bank(memory, MemoryBalances())
    elif parts.scheme == "sqlite" and len(parts.path) > 1 and not parts.netloc:
        settings: dict[str, Any] = {**dict(parse_qsl(parts.query)), **options}
        async with SqliteEventStore.connect(unquote(parts.path[1:]), **settings) as file:
            balances: Balances = SqliteBalances(file)
            if create:
                await balances.create()
            yield Bank(file, balances)
    elif parts.scheme in ("postgresql", "postgres"):
        async with PostgresEventStore.connect(url, schema=SCHEMA, **options) as server:
            balances = PostgresBalances(server, schema=SCHEMA)
            if create:
                await server.migrate()
                await balances.create()
            yield Bank(server, balances)
    else:
        raise ValueError(
            f"no store of events for {parts.scheme or url}:; use memory:, sqlite:///wallet.db or "
            "postgresql://user:password@host/database"
        )
