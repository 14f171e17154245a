"""What type checkers make of SqliteEventStore. Checked by mypy and basedpyright, never run."""

import sqlite3
from contextlib import AbstractAsyncContextManager
from typing import Any, assert_type

from arvo_event_store import (
    Appended,
    Event,
    IEventStore,
    NewEvent,
    SqliteEventStore,
    SqliteLog,
    SqliteWork,
)
from arvo_event_store.testing import ClosableEventStore, WakingLog


def protocols(store: SqliteEventStore) -> tuple[IEventStore, ClosableEventStore, WakingLog]:
    return store, store, store


def deposit(connection: sqlite3.Connection, log: SqliteLog) -> Appended:
    _ = connection.execute("INSERT INTO balance VALUES ('ann', 70)")
    assert_type(list(log.read("wallet-ann")), list[Event])
    return log.append("wallet-ann", [NewEvent("Deposited", 70)])


work: SqliteWork[Appended] = deposit


async def use(store: SqliteEventStore) -> None:
    assert_type(await store.write(deposit), Appended)
    assert_type(await store.write(lambda connection, log: log.horizon()), int)
    assert_type(await store.execute("UPDATE balance SET amount = ?", 7), int)
    assert_type(await store.fetch("SELECT * FROM balance"), list[tuple[Any, ...]])
    opened: AbstractAsyncContextManager[SqliteEventStore] = SqliteEventStore.connect("events.db")
    async with opened as another:
        assert_type(another, SqliteEventStore)


async def wrong(store: SqliteEventStore) -> None:
    _ = await store.write(lambda connection: 7)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
    _ = await store.write("INSERT INTO balance VALUES ('ann', 70)")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportUnknownVariableType]
    _ = await store.execute(b"SELECT 1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _ = SqliteEventStore("events.db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _ = SqliteEventStore.connect("events.db", synchronous="off")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
