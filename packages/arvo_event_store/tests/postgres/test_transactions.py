"""Logs inside a transaction, of the store or of somebody else."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from arvo_event_store import (
    Append,
    ConflictError,
    EventIdReusedError,
    Expect,
    NewEvent,
    Snapshot,
    StoreFailure,
)
from arvo_event_store.postgres import PostgresEventStore

from .conftest import Connect, fetch, quoted


def added(amount: int = 1) -> NewEvent:
    return NewEvent("Added", {"amount": amount})


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


async def test_events_and_rows_of_the_user_are_stored_together(store: PostgresEventStore) -> None:
    """Or not at all."""
    for undone in (True, False):
        try:
            async with store.transaction() as transaction:
                await transaction.connection.execute("CREATE TEMPORARY TABLE mine (n integer)")
                await transaction.append("a", [added(1)], expect=Expect.NO_STREAM)
                await transaction.append("a", [added(2)], expect=0)
                assert [event.version async for event in transaction.read("a")] == [0, 1]
                assert await store.heads(["a"]) == {}
                if undone:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert await store.heads(["a"]) == {}
    assert (await store.heads(["a"]))["a"].version == 1


async def test_a_connection_of_the_user_is_joined(
    store: PostgresEventStore, connection: asyncpg.Connection
) -> None:
    """What is appended is there once the user commits."""
    async with connection.transaction():
        log = store.join(connection)
        assert log.connection is connection
        appends = [Append("a", [added()]), Append("b", [added()])]
        assert [each.version for each in await log.append_all(appends)] == [0, 0]
        await log.save_snapshot(Snapshot(stream="a", kind="k", version=0, schema=1, state=1))
        assert await log.latest_snapshot("a", kind="k") is not None
        assert await store.heads(["a", "b"]) == {}
    assert set(await store.heads(["a", "b"])) == {"a", "b"}
    with pytest.raises(StoreFailure, match="has ended"):
        await log.append("a", [added()])


async def test_a_transaction_that_was_begun_by_hand_is_joined(
    store: PostgresEventStore, connection: asyncpg.Connection
) -> None:
    await connection.execute("BEGIN")
    await store.join(connection).append("a", [added()])
    await connection.execute("COMMIT")
    assert (await store.heads(["a"]))["a"].version == 0


async def test_a_connection_without_a_transaction_is_not_joined(
    store: PostgresEventStore, connection: asyncpg.Connection
) -> None:
    """Its appends would be committed one by one."""
    with pytest.raises(ValueError, match="no open transaction"):
        store.join(connection)


async def test_a_refusal_undoes_nothing_else(store: PostgresEventStore) -> None:
    """Neither a conflict, of one stream or of several, nor an id that is known."""
    known = added()
    await store.append("known", [known])
    async with store.transaction() as transaction:
        await transaction.append("a", [added()])
        with pytest.raises(ConflictError):
            await transaction.append("a", [added()], expect=7)
        with pytest.raises(ConflictError):
            await transaction.append_all([Append("b", [added()]), Append("a", [added()], expect=7)])
        with pytest.raises(EventIdReusedError):
            await transaction.append("a", [known])
        assert (await transaction.append("known", [known])).duplicate
        await transaction.append("a", [added()], expect=0)
    assert (await store.heads(["a"]))["a"].version == 1
    assert await store.heads(["b"]) == {}


async def test_tasks_that_share_a_transaction_take_turns(store: PostgresEventStore) -> None:
    async with store.transaction() as transaction:
        appends = (transaction.append(f"s{each % 3}", [added()]) for each in range(12))
        done = await asyncio.gather(*appends)
    assert sorted(each.version or 0 for each in done) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


async def test_an_error_of_the_users_sql_that_is_swallowed_is_no_success(
    store: PostgresEventStore,
) -> None:
    """PostgreSQL answers such a commit as if all were well, and undoes everything."""

    async def swallow() -> None:
        async with store.transaction() as transaction:
            await transaction.append("a", [added()])
            with pytest.raises(asyncpg.DivisionByZeroError):
                await transaction.connection.execute("SELECT 1 / 0")

    with pytest.raises(StoreFailure, match="InFailedSQLTransaction") as caught:
        await swallow()
    assert caught.value.outcome == "failed"
    assert await store.heads(["a"]) == {}


async def test_a_transaction_is_of_no_use_after_its_block(store: PostgresEventStore) -> None:
    async with store.transaction() as transaction:
        pass
    with pytest.raises(StoreFailure, match="has ended"):
        await transaction.append("a", [added()])
    await store.append("a", [added()])


async def test_a_transaction_of_a_closed_store_is_refused(connect_to: Connect) -> None:
    async with connect_to() as store:
        pass
    with pytest.raises(StoreFailure, match="was closed"):
        async with store.transaction():
            raise AssertionError("it must not begin")


async def test_a_transaction_that_loses_its_connection_stores_nothing(
    store: PostgresEventStore, postgres_dsn: str
) -> None:

    async def lose_the_connection() -> None:
        async with store.transaction() as transaction:
            await transaction.append("a", [added()])
            pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
            await fetch(postgres_dsn, "SELECT pg_terminate_backend($1, 5000)", pid)
            await transaction.append("a", [added()])

    with pytest.raises(StoreFailure) as caught:
        await lose_the_connection()
    assert (caught.value.outcome, caught.value.retryable) == ("failed", True)
    assert await store.heads(["a"]) == {}


async def test_events_cannot_be_changed(store: PostgresEventStore, postgres_dsn: str) -> None:
    """C8: not even by who may write the table."""
    await store.append("a", [added()])
    event = f"{quoted(store._tables.schema)}.event"
    for sql in (f"UPDATE {event} SET name = 'x'", f"DELETE FROM {event}", f"TRUNCATE {event}"):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await fetch(postgres_dsn, sql)
    assert [event.name async for event in store.read("a")] == ["Added"]
