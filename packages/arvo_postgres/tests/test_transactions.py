"""Transactions that are lent, and statements in transactions of others."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from arvo_postgres import Connections, OpenTransaction, StatementRunner
from arvo_time import BackendError

from .conftest import NAME, Connect, behind_proxy, execute, fetch, quoted, runner_on

SECOND = timedelta(seconds=1)


async def table_of(runner: StatementRunner) -> None:
    await runner.run("MAKE", "CREATE TEMPORARY TABLE IF NOT EXISTS mine (n integer PRIMARY KEY)")
    await runner.run("EMPTY", "TRUNCATE mine")


async def numbers(runner: StatementRunner) -> list[int]:
    return [row["n"] for row in (await runner.run("READ", "SELECT n FROM mine ORDER BY n")).rows]


async def test_a_transaction_is_committed_at_the_end_of_its_block_or_undone(
    connect_to: Connect,
) -> None:
    async with connect_to(pool_size=1) as connections:
        runner = runner_on(connections)
        await table_of(runner)
        async with runner.transaction("WRITE") as transaction:
            await transaction.run("INSERT", "INSERT INTO mine VALUES ($1)", 1)
        with pytest.raises(ZeroDivisionError):
            async with runner.transaction("WRITE") as transaction:
                raise await undone(transaction)
        assert await numbers(runner) == [1]


async def undone(transaction: OpenTransaction) -> ZeroDivisionError:
    await transaction.run("INSERT", "INSERT INTO mine VALUES ($1)", 2)
    return ZeroDivisionError()


async def test_a_statement_may_be_undone_alone(connect_to: Connect) -> None:
    async with connect_to(pool_size=1) as connections:
        runner = runner_on(connections)
        await table_of(runner)
        async with runner.transaction("WRITE") as transaction:
            for number in (1, 1, 2):
                done = await asyncio.gather(
                    transaction.run_or_undo("INSERT", "INSERT INTO mine VALUES ($1)", number),
                    return_exceptions=True,
                )
                if isinstance(done[0], BackendError):
                    assert isinstance(done[0].__cause__, asyncpg.UniqueViolationError)
                    assert done[0].outcome == "failed"
        assert await numbers(runner) == [1, 2]


async def test_a_commit_after_a_failed_statement_is_an_error(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    """The server would answer it, and undo everything."""
    table = f"{quoted(schema)}.mine"
    await execute(postgres_dsn, f"CREATE SCHEMA {quoted(schema)}; CREATE TABLE {table} (n integer)")

    async def swallow(runner: StatementRunner) -> None:
        async with runner.transaction("WRITE") as transaction:
            await transaction.run("INSERT", f"INSERT INTO {table} VALUES (1)")
            with pytest.raises(BackendError, match="DivisionByZero"):
                await transaction.run("FAIL", "SELECT 1 / 0")

    async with connect_to(pool_size=1) as connections:
        with pytest.raises(BackendError, match="InFailedSQLTransaction") as caught:
            await swallow(runner_on(connections))
        assert caught.value.outcome == "failed"
    assert await fetch(postgres_dsn, f"SELECT n FROM {table}") == []


async def test_a_transaction_begins_on_another_connection_if_one_is_lost(
    connect_to: Connect, postgres_dsn: str
) -> None:
    async with connect_to(pool_size=1) as connections:
        runner = runner_on(connections)
        pid = (await runner.run("PID", "SELECT pg_backend_pid() AS pid")).row["pid"]
        await fetch(postgres_dsn, "SELECT pg_terminate_backend($1, 5000)", pid)
        async with runner.transaction("WRITE") as transaction:
            assert (await transaction.run("ONE", "SELECT 1 AS n")).row["n"] == 1


async def test_a_commit_whose_answer_is_lost_has_an_unknown_outcome(postgres_dsn: str) -> None:
    async with behind_proxy(postgres_dsn) as (proxy, connections):
        runner = runner_on(connections)

        async def commit() -> None:
            async with runner.transaction("WRITE") as transaction:
                await transaction.run("ONE", "SELECT 1")
                proxy.lose_next_reply(containing=b"COMMIT")

        with pytest.raises(BackendError) as caught:
            await commit()
        assert (caught.value.outcome, caught.value.retryable) == ("unknown", True)
        assert (await runner.run("ONE", "SELECT 1 AS n")).row["n"] == 1


async def test_a_transaction_that_has_ended_runs_nothing(connect_to: Connect) -> None:
    async with connect_to() as connections:
        async with runner_on(connections).transaction("WRITE") as transaction:
            pass
        for call in (transaction.run, transaction.run_or_undo):
            with pytest.raises(BackendError, match="has ended") as caught:
                await call("ONE", "SELECT 1")
            assert caught.value.outcome == "failed"


async def test_a_transaction_of_somebody_else_is_left_open(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        async with connection.transaction():
            joined = OpenTransaction(connection, table=NAME, statement_timeout=SECOND)
            with pytest.raises(BackendError, match="DivisionByZero"):
                await joined.run_or_undo("FAIL", "SELECT 1 / 0")
            assert (await joined.run("ONE", "SELECT 1 AS n")).row["n"] == 1
            assert connection.is_in_transaction()
    finally:
        await connection.close()


async def test_connections_have_the_settings_of_the_server_that_they_were_given(
    connect_to: Connect,
) -> None:
    async with connect_to(server_settings={"jit": "off"}, read_only=True) as connections:
        assert await settings(connections) == ["off", "on"]
    async with connect_to() as connections:
        assert (await settings(connections))[1] == "off"


async def settings(connections: Connections) -> list[str]:
    runner = runner_on(connections)
    return [
        (await runner.run("SHOW", f"SHOW {name}")).rows[0][0]
        for name in ("jit", "default_transaction_read_only")
    ]
