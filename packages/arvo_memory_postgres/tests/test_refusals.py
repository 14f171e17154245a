"""No error of asyncpg or PostgreSQL ends a workflow, and damage leaves no lease."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest
from typing_extensions import override

from arvo_event_handler import (
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import MAX_RECORD_BYTES, LockPolicy, Record
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_postgres._table import memory_error
from arvo_postgres._failures import backend_error
from arvo_time import DamagedError, Outcome
from storm import answer_to, asking, question

from .conftest import Connect, execute, fetch, leased, on_its_connection, quoted

KINDS: Final = [
    kind
    for kind in vars(asyncpg.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_error_of_asyncpg_ends_a_workflow(kind: type[Exception], outcome: Outcome) -> None:
    """Each is reported as the client has judged it."""
    error = backend_error(kind("as the server says it"), what="COMMIT", outcome=outcome)
    made = memory_error(error, doing="COMMIT")
    assert not isinstance(made, UnwritableRecordError), "no error of PostgreSQL ends a workflow"
    assert isinstance(made, UnreadableRecordError) is isinstance(error, DamagedError)
    assert (made.retryable, made.outcome) == (error.retryable, outcome)
    assert str(made).startswith(str(error))


# --- a workflow ---------------------------------------------------------------


@asynccontextmanager
async def refusing_once(dsn: str, schema: str, state: str, *, when: str) -> AsyncIterator[None]:
    """Add a trigger, as an operator may, that refuses one write of the table."""
    name = quoted(schema)
    await execute(
        dsn,
        f"CREATE SEQUENCE {name}.refusals;"
        f"CREATE FUNCTION {name}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('{name}.refusals') = 1 THEN "
        f"RAISE EXCEPTION 'not today' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER refuse BEFORE UPDATE ON {name}.machines FOR EACH ROW "
        f"WHEN ({when}) EXECUTE FUNCTION {name}.refuse()",
    )
    try:
        yield
    finally:
        await execute(dsn, f"DROP FUNCTION {name}.refuse() CASCADE; DROP SEQUENCE {name}.refusals")


@pytest.mark.parametrize(
    ("state", "retryable"),
    [
        ("42501", True),  # missing permission
        ("23514", True),  # an operator's check constraint
        ("53100", True),  # disk full
        ("54000", True),  # also raised when no transaction ids are left until a VACUUM
        ("57014", True),  # cancelled by an operator
        ("P0001", True),  # raised by a trigger that names no SQLSTATE
        ("AR001", True),  # made up by the trigger
        ("22012", False),  # division by zero in the trigger
        ("42883", False),  # the trigger calls a missing function
        ("XX001", False),  # damage
    ],
)
async def test_a_commit_that_is_refused_once_does_not_end_its_workflow(
    connect_to: Connect, postgres_dsn: str, schema: str, state: str, retryable: bool
) -> None:
    """Nothing is stored, nothing is emitted, and the next delivery goes on."""
    async with connect_to(policy=LockPolicy(max_wait=timedelta(0))) as memory:
        handler = asking(memory)
        event = question()
        [request] = await handler.execute(event)
        before = await memory.read(event.subject)
        async with refusing_once(postgres_dsn, schema, state, when="NEW.version <> OLD.version"):
            with pytest.raises(TransactionViolation, match="not today") as caught:
                await handler.execute(answer_to(request))
            assert caught.value.cause is TransactionViolationCause.WRITE_FAILURE
            assert caught.value.retryable is retryable
            assert await memory.read(event.subject) == before
            [done] = await handler.execute(answer_to(request))
            assert done.data == {"text": "good"}


async def test_damage_that_the_server_finds_is_a_read_failure(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with connect_to(policy=LockPolicy(max_wait=timedelta(0))) as memory:
        handler = asking(memory)
        [request] = await handler.execute(question())
        async with refusing_once(postgres_dsn, schema, "XX001", when="NEW.lease_owner IS NOT NULL"):
            with pytest.raises(TransactionViolation, match="cannot read") as caught:
                await handler.execute(answer_to(request))
            assert caught.value.cause is TransactionViolationCause.READ_FAILURE
            assert not caught.value.retryable
            [done] = await handler.execute(answer_to(request))
            assert done.data == {"text": "good"}


async def test_a_record_that_is_too_large_is_refused_by_our_limit(connect_to: Connect) -> None:
    """Our limit is below PostgreSQL's, which would only break the connection."""
    large: Record = {"text": "x" * MAX_RECORD_BYTES}
    async with connect_to() as memory:
        lease = await leased(memory)
        with pytest.raises(UnwritableRecordError, match=f"above the {MAX_RECORD_BYTES}"):
            await memory.commit(lease, record_write(large))
        with pytest.raises(UnwritableRecordError, match=f"above the {MAX_RECORD_BYTES}"):
            await memory.write("order-8", large, None)
        await memory.commit(lease, record_write({"text": "small"}))
        assert await memory.read("order-8") is None


async def test_a_record_above_the_limit_is_neither_written_nor_read(connect_to: Connect) -> None:
    """The same limit, an argument of `connect`, holds both ways."""
    text: Record = {"text": "x" * 1_000}
    async with connect_to(max_record_bytes=2_000) as memory:
        await memory.write("order-7", text, None)
    async with connect_to(max_record_bytes=500) as memory:
        with pytest.raises(UnwritableRecordError, match="above the 500 that"):
            await memory.write("order-8", text, None)
        for reading in (memory.read("order-7"), memory.acquire("order-7")):
            with pytest.raises(UnreadableRecordError, match="longer than the 500 bytes"):
                await reading


async def test_a_table_that_takes_no_rows_is_reported_after_a_few_tries(
    connect_to: Connect, postgres_dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger drops inserted rows; when it is removed, the same write is stored."""
    name = quoted(schema)
    await execute(
        postgres_dsn,
        f"CREATE FUNCTION {name}.swallow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$;"
        f"CREATE TRIGGER swallow BEFORE INSERT ON {name}.machines FOR EACH ROW "
        f"EXECUTE FUNCTION {name}.swallow()",
    )
    asked: list[str] = []
    async with connect_to() as memory:
        run = memory._runner.run

        async def counted(operation: str, sql: str, *args: object, **within: Any) -> Any:
            asked.append(sql)
            assert len(asked) < 50, "it does not stop asking"
            return await run(operation, sql, *args, **within)

        monkeypatch.setattr(memory._runner, "run", counted)
        try:
            with pytest.raises(MachineMemoryError, match="a trigger or a rule") as caught:
                await memory.write("order-7", {"n": 1}, None)
        finally:
            await execute(postgres_dsn, f"DROP FUNCTION {name}.swallow() CASCADE")
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert asked.count(memory._sql.write["dropped"]) == 3
        await memory.write("order-7", {"n": 1}, None)
        assert await memory.read("order-7") == {"n": 1}


async def test_a_connection_in_a_failed_transaction_is_closed(connect_to: Connect) -> None:
    """A pooler may lend one."""
    async with connect_to(pool_size=1) as memory:
        lease = await leased(memory)
        connection = await memory._connections.take("TEST")
        await connection.execute("BEGIN")
        with suppress(asyncpg.DivisionByZeroError):
            await connection.execute("SELECT 1 / 0")
        await memory._connections.give_back(connection)
        await memory.commit(lease, record_write({"count": 1}))
        assert await memory.read("order-7") == {"count": 1}


@pytest.mark.parametrize("how", ["lock timeout", "cancelled"])
async def test_a_statement_that_is_aborted_is_retryable(
    connect_to: Connect, postgres_dsn: str, schema: str, how: str
) -> None:
    async with connect_to(pool_size=1) as memory:
        lease = await leased(memory)
        if how == "lock timeout":
            await on_its_connection(memory, "SET lock_timeout = '20ms'")
        ((pid,),) = await on_its_connection(memory, "SELECT pg_backend_pid()")
        holder = await asyncpg.connect(postgres_dsn)
        try:
            async with holder.transaction():
                await holder.execute(f"LOCK TABLE {quoted(schema)}.machines")
                commit = asyncio.ensure_future(memory.commit(lease, record_write({"count": 1})))
                if how == "cancelled":
                    waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
                    while not await holder.fetchval(waits, pid):
                        await holder.execute("SELECT pg_stat_clear_snapshot()")
                    await holder.execute("SELECT pg_cancel_backend($1)", pid)
                with pytest.raises(MachineMemoryError) as caught:
                    await commit
                assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        finally:
            await holder.close()
        await memory.commit(lease, record_write({"count": 1}))


# --- prepared statements ------------------------------------------------------


async def test_a_lost_prepared_statement_costs_only_a_connection(
    connect_to: Connect,
) -> None:
    """A PgBouncer that pools transactions may run the next one in another session."""
    async with connect_to(pool_size=1) as memory:
        handler = asking(memory)
        [request] = await handler.execute(question())
        await on_its_connection(memory, "DEALLOCATE ALL")
        [done] = await handler.execute(answer_to(request))
        assert done.data == {"text": "good"}


class Forgetful(asyncpg.Connection):  # type: ignore[misc] # untyped
    """A connection whose server forgets every statement before it is used."""

    @override
    async def _get_statement(self, *args: Any, **options: Any) -> Any:
        statement = await super()._get_statement(*args, **options)
        await self.execute("DEALLOCATE ALL")
        return statement


async def test_statements_that_are_lost_each_time_cost_a_retry_but_not_the_workflow(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with (
        connect_to() as memory,
        asyncpg.create_pool(
            postgres_dsn, min_size=0, max_size=1, connection_class=Forgetful
        ) as pool,
    ):
        event = question()
        [request] = await asking(memory).execute(event)
        before = await memory.read(event.subject)
        with pytest.raises(TransactionViolation, match="statement_cache_size=0") as caught:
            await asking(PostgresMachineMemory(pool, schema=schema)).execute(answer_to(request))
        assert caught.value.retryable
        assert await memory.read(event.subject) == before
        [done] = await asking(memory).execute(answer_to(request))
        assert done.data == {"text": "good"}


async def test_names_of_prepared_statements_differ_between_processes(connect_to: Connect) -> None:
    """Otherwise, behind a PgBouncer, one could run what the other has prepared."""
    names: list[set[str]] = []
    for _ in range(2):
        async with connect_to(pool_size=1) as memory:
            await memory.read("order-7")
            rows = await on_its_connection(memory, "SELECT name FROM pg_prepared_statements")
            names.append({row["name"] for row in rows})
            assert len(names[-1]) >= 2
            assert all(name.startswith("__arvo_stmt_") for name in names[-1])
    assert names[0].isdisjoint(names[1])


# --- damage -------------------------------------------------------------------

DAMAGE: Final = {
    "negative version": ("version = -1", "version -1"),
    "version of nothing": ("version = 0", "version 0"),
    "no record": ("codec = NULL, state = NULL", "version 1"),
    "no bytes": ("state = NULL", "no bytes"),
    "no codec": ("codec = NULL", "codec None"),
    "unknown codec": ("codec = 'lz4'", "codec 'lz4'"),
    "no JSON": ("state = '{'", "not a JSON object"),
    "no JSON in UTF-8": (r"state = '\x7bff7d'", "not a JSON object"),
    "not compressed": ("codec = 'zlib'", "cannot be decompressed"),
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_damaged_row_is_a_read_failure_and_leaves_no_lease(
    connect_to: Connect, postgres_dsn: str, schema: str, kind: str
) -> None:
    setting, words = DAMAGE[kind]
    async with connect_to(policy=LockPolicy(max_wait=timedelta(0))) as memory:
        handler = asking(memory)
        event = question()
        [request] = await handler.execute(event)
        await execute(postgres_dsn, f"UPDATE {quoted(schema)}.machines SET {setting}")
        # Twice: a lease left behind by the first would stop the second.
        for _ in range(2):
            with pytest.raises(TransactionViolation, match=words) as caught:
                await handler.execute(answer_to(request))
            assert caught.value.cause is TransactionViolationCause.READ_FAILURE
            assert not caught.value.retryable
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.read(event.subject)
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.write(event.subject, {}, None)
        rows = await fetch(postgres_dsn, f"SELECT lease_owner FROM {quoted(schema)}.machines")
        assert [row["lease_owner"] for row in rows] == [None], "the row exists and is not leased"


ENDS: Final = ["'infinity'", "'-infinity'", "'294000-01-01'", "'4713-01-01 BC'", "NULL"]


@pytest.mark.parametrize("end", ENDS)
async def test_a_lease_with_a_damaged_end_counts_as_ended(
    connect_to: Connect, postgres_dsn: str, schema: str, end: str
) -> None:
    """The record is sound, and waiting for that lease could take indefinitely."""
    change = f"UPDATE {quoted(schema)}.machines SET lease_until = {end}"
    async with connect_to(policy=LockPolicy(max_wait=timedelta(0))) as memory:
        handler = asking(memory)
        event = question()
        [request] = await handler.execute(event)
        stale = await leased(memory, event.subject)
        await execute(postgres_dsn, change)
        [done] = await handler.execute(answer_to(request))
        assert done.data == {"text": "good"}
        with pytest.raises(TransactionViolation) as caught:
            await memory.commit(stale, record_write({}))
        assert caught.value.cause.is_contention
        await leased(memory, event.subject)
        await execute(postgres_dsn, f"{change}, finished_at = '2000-01-01'")
        assert await memory.delete_finished(older_than=timedelta(days=1)) == 1


async def test_a_lease_of_ten_years_is_respected(connect_to: Connect) -> None:
    """A LockPolicy allows that many, so they are not taken for damage."""
    years = timedelta(days=3650)
    policy = LockPolicy(ttl=years, max_hold=years, max_wait=timedelta(0))
    async with connect_to(policy=policy) as memory:
        await leased(memory)
        assert await memory.acquire("order-7") is None
