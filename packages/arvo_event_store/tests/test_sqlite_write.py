"""Work and SQL of the user, in the transaction that stores events."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from arvo_event_store import (
    Append,
    Appended,
    ConflictError,
    NewEvent,
    Query,
    Snapshot,
    SqliteEventStore,
    SqliteLog,
    StoreFailure,
    Wake,
)


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
    path = tmp_path / "events.db" if request.param == "file" else ":memory:"
    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        await store.execute("CREATE TABLE balance (wallet TEXT PRIMARY KEY, amount INTEGER)")
        yield store


def added(amount: int) -> NewEvent:
    return NewEvent("Added", amount)


async def balances(store: SqliteEventStore) -> list[tuple[Any, ...]]:
    return await store.fetch("SELECT * FROM balance ORDER BY wallet")


async def test_rows_and_events_are_stored_together(store: SqliteEventStore) -> None:
    def deposit(connection: sqlite3.Connection, log: SqliteLog) -> Appended:
        connection.execute("INSERT INTO balance VALUES ('ann', 7)")
        return log.append("wallet-ann", [added(7)])

    done = await store.write(deposit)
    assert (done.version, done.count) == (0, 1)
    assert await balances(store) == [("ann", 7)]
    assert [event.data async for event in store.read("wallet-ann")] == [7]


async def test_work_that_raises_stores_nothing_and_its_error_comes_back(
    store: SqliteEventStore,
) -> None:
    """Beside others of the same transaction, which are stored."""

    class Overdrawn(Exception):
        pass

    def overdraw(connection: sqlite3.Connection, log: SqliteLog) -> None:
        connection.execute("INSERT INTO balance VALUES ('ann', 7)")
        log.append("wallet-ann", [added(7)])
        raise Overdrawn

    async def refused() -> None:
        with pytest.raises(Overdrawn):
            await store.write(overdraw)

    appends = (store.append("other", [added(number)]) for number in range(20))
    await asyncio.gather(*appends, *(refused() for _ in range(20)))
    assert await balances(store) == []
    assert await store.heads(["wallet-ann"]) == {}
    assert len([event async for event in store.read_all()]) == 20


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_whatever_work_raises_does_not_end_the_thread_that_writes(
    store: SqliteEventStore, kind: type[BaseException]
) -> None:
    def leave(connection: sqlite3.Connection, log: SqliteLog) -> None:
        log.append("a", [added(1)])
        raise kind

    try:
        await store.write(leave)
    except BaseException as error:
        assert type(error) is kind  # noqa: PT017 - pytest.raises does not take all of them
    assert (await store.append("a", [added(1)])).version == 0


async def test_work_may_go_on_after_a_refusal_of_the_log(store: SqliteEventStore) -> None:
    await store.append("a", [added(1)])

    def work(connection: sqlite3.Connection, log: SqliteLog) -> list[int | None]:
        with pytest.raises(ConflictError):
            log.append_all([Append("b", [added(1)]), Append("a", [added(2)], expect=7)])
        return [log.append("a", [added(3)]).version, log.append("b", [added(4)]).version]

    assert await store.write(work) == [1, 0]
    assert [event.data async for event in store.read_all()] == [1, 3, 4]


async def test_the_log_of_a_transaction_sees_what_the_transaction_did(
    store: SqliteEventStore,
) -> None:
    """With the names of the store, without awaiting."""
    await store.append("a", [added(1)])

    def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        wake = Wake(group="g", reaction="r", lane="l")
        batch = [added(number) for number in range(2, 1203)]
        log.append_all([Append("a", batch, expect=0, wakes=[wake]), Append("b", [added(0)])])
        begun = log.read("a", backward=True)
        assert next(begun).data == 1202
        log.append("a", [added(9)])
        assert [event.data for event in begun] == list(range(1201, 0, -1))
        assert [event.version for event in log.read("a", after=1200)] == [1201, 1202]
        assert [event.stream for event in log.read_all(after=1201, limit=2)] == ["a", "b"]
        assert len(list(log.read_all(where=Query(stream_prefix="b")))) == 1
        assert list(log.read("a", limit=0)) == []
        assert log.horizon() == 1204
        assert {name: head.version for name, head in log.heads(["b", "a", "c"]).items()} == {
            "b": 0,
            "a": 1202,
        }
        assert log.latest_snapshot("a", kind="k") is None
        log.save_snapshot(Snapshot(stream="a", kind="k", version=5, schema=1, state=[5]))
        found = log.latest_snapshot("a", kind="k", upto=9)
        assert found is not None
        assert found.state == [5]

    await store.write(work)
    assert [target.mark async for target in store.targets("g")] == [1202]
    assert await store.horizon() == 1204


async def test_a_log_is_of_no_use_after_its_work(store: SqliteEventStore) -> None:
    logs: list[SqliteLog] = []
    await store.write(lambda connection, log: logs.append(log))
    with pytest.raises(StoreFailure, match="the work that this log was given to has ended"):
        logs[-1].horizon()


ENDS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "COMMIT": lambda connection: connection.execute("COMMIT"),
    "end": lambda connection: connection.execute("end"),
    "commit()": lambda connection: connection.commit(),
    "rollback()": lambda connection: connection.rollback(),
    "with": lambda connection: connection.__exit__(None, None, None),
    "BEGIN": lambda connection: connection.execute("BEGIN"),
    "RELEASE": lambda connection: connection.execute("RELEASE Arvo_Work"),
    "ROLLBACK TO": lambda connection: connection.execute("ROLLBACK TO arvo_work"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_work_cannot_end_the_transaction_that_others_share(
    store: SqliteEventStore, end: str
) -> None:
    def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        log.append("a", [added(1)])
        ENDS[end](connection)

    appends = [store.append("b", [added(number)]) for number in range(20)]
    with pytest.raises(StoreFailure, match="SQL must not begin, commit or roll back") as caught:
        await asyncio.gather(*appends, store.write(work))
    assert not caught.value.retryable
    assert (await store.append("b", [added(20)])).version == 20
    assert await store.heads(["a"]) == {}


@pytest.mark.parametrize("then", ["append", "nothing", "raise"])
async def test_work_that_catches_an_error_which_rolled_all_back_stores_nothing(
    store: SqliteEventStore, then: str
) -> None:
    """And the others of its transaction are stored, each once."""
    await store.execute("INSERT INTO balance VALUES ('ann', 1)")

    def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        log.append("a", [added(1)])
        with suppress(sqlite3.IntegrityError):
            connection.execute("INSERT OR ROLLBACK INTO balance VALUES ('ann', 2)")
        if then == "append":
            log.append("a", [added(2)])
        elif then == "raise":
            raise LookupError

    others = asyncio.gather(*(store.write(lambda _, log: one(log)) for _ in range(10)))
    with pytest.raises(StoreFailure) as caught:
        await store.write(work)
    assert caught.value.outcome == "failed"
    await others
    await store.write(lambda _, log: one(log))
    assert await store.heads(["a"]) == {}
    assert [event.version async for event in store.read("others")] == list(range(11))
    assert await balances(store) == [("ann", 1)]


def one(log: SqliteLog) -> Appended:
    return log.append("others", [added(1)])


async def test_work_must_be_a_plain_function(store: SqliteEventStore) -> None:
    async def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        raise AssertionError("it must not run")

    wrong: Any
    for wrong in (work, lambda connection, log: work(connection, log), 7):
        with pytest.raises(TypeError, match="work must be a plain function"):
            await store.write(wrong)


async def test_statements_change_and_fetch_rows(store: SqliteEventStore) -> None:
    insert = "INSERT INTO balance VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = excluded.amount"
    assert await store.execute(insert, "ann", 1) == 1
    assert await store.execute(insert, "bob'; DROP TABLE event; --", None) == 1
    assert await store.execute("UPDATE balance SET amount = 3") == 2
    assert await store.execute("CREATE INDEX of_amount ON balance (amount)") == 0
    assert await store.fetch("SELECT wallet FROM balance WHERE amount = ? ORDER BY 1", 3) == [
        ("ann",),
        ("bob'; DROP TABLE event; --",),
    ]


WRONG_SQL = {
    "SELEKT": "syntax error",
    "INSERT INTO nowhere VALUES (1)": "no such table",
    "INSERT INTO balance VALUES (1)": "2 columns but 1 values",
    "INSERT INTO balance VALUES ('ann', 2)": "UNIQUE constraint failed",
    "SELECT ?": "current statement uses 1",
    "SELECT 1; SELECT 2": "SQLite cannot take this value: Warning|one statement",
    "UPDATE event SET data = '2'": "events are append-only",
    "DELETE FROM event": "events are append-only",
    "COMMIT": "SQL must not begin, commit or roll back",
}


@pytest.mark.parametrize("sql", WRONG_SQL)
async def test_wrong_sql_is_a_failure_that_stores_nothing(
    store: SqliteEventStore, sql: str
) -> None:
    """Neither of it nor of what the work did before; what others do is stored."""
    await store.execute("INSERT INTO balance VALUES ('ann', 1)")
    await store.append("a", [added(1)])

    def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        log.append("b", [added(1)])
        connection.execute(sql)

    for call in (store.execute(sql), store.write(work)):
        more = asyncio.gather(*(store.append("a", [added(2)]) for _ in range(5)))
        with pytest.raises(StoreFailure, match=WRONG_SQL[sql]) as caught:
            await call
        assert caught.value.outcome == "failed"
        await more
    assert len([event async for event in store.read("a")]) == 11
    assert await store.heads(["b"]) == {}
    assert await balances(store) == [("ann", 1)]


async def test_work_may_use_savepoints_of_its_own(store: SqliteEventStore) -> None:
    def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        for wallet, statement in (("ann", "RELEASE own"), ("bob", "ROLLBACK TO own")):
            connection.execute("SAVEPOINT own")
            connection.execute("INSERT INTO balance VALUES (?, 1)", (wallet,))
            log.append(wallet, [added(1)])
            connection.execute(statement)

    await store.write(work)
    assert await balances(store) == [("ann", 1)]
    assert [event.stream async for event in store.read_all()] == ["ann"]


@pytest.mark.parametrize("sql", ["BEGIN", "SAVEPOINT own", "COMMIT", "END", "RELEASE own"])
async def test_a_single_statement_cannot_begin_or_end_a_transaction(
    store: SqliteEventStore, sql: str
) -> None:
    """A reader with an open one would show the same state from then on."""
    for call in (*[store.fetch] * 8, store.execute):
        with pytest.raises(StoreFailure, match="SQL must not begin"):
            await call(sql)
    await store.execute("INSERT INTO balance VALUES ('ann', 1)")
    for found in await asyncio.gather(*(balances(store) for _ in range(8))):
        assert found == [("ann", 1)]


async def test_a_statement_that_returns_rows_is_done_wholly(store: SqliteEventStore) -> None:
    insert = "INSERT INTO balance SELECT value, 1 FROM json_each(?) RETURNING wallet"
    assert await store.execute(insert, '["ann", "bob", "eve"]') == 3
    assert len(await balances(store)) == 3


async def test_fetch_cannot_write(store: SqliteEventStore) -> None:
    for sql in ("INSERT INTO balance VALUES ('ann', 1) RETURNING 1", "DROP TABLE balance"):
        with pytest.raises(StoreFailure, match="readonly"):
            await store.fetch(sql)
    await store.execute("INSERT INTO balance VALUES ('ann', 1)")
    assert await balances(store) == [("ann", 1)]


async def test_values_and_statements_of_a_wrong_type_are_refused(store: SqliteEventStore) -> None:
    for call in (store.execute, store.fetch):
        with pytest.raises(TypeError, match="sql must be a string"):
            await call(7)  # type: ignore[arg-type] # that is the point
        for wrong in (object(), "\ud800", 2**63, [1], {"a": 1}):
            with pytest.raises(StoreFailure) as caught:
                await call("SELECT ?", wrong)
            assert not caught.value.retryable
        with pytest.raises(StoreFailure):
            await call("SELECT '\0'")
