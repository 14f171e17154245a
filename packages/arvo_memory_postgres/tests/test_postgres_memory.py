"""What is specific to PostgreSQL: the schema, what operators do, and refused values."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import MachineMemoryError, TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import LockPolicy, Record, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_postgres._url import connect_url as postgres_memory
from arvo_postgres import Connections
from arvo_time.testing import FakeClock, SpanRecorder

from .conftest import Connect, execute, fetch, leased, on_its_connection, quoted

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"


def subject(name: str, parent: str | None = None) -> str:
    if parent is not None:
        return ArvoOrchestrationSubject.from_parent(
            orchestrator=name, version="1.0.0", subject=parent
        )
    return ArvoOrchestrationSubject.new(
        orchestrator=name, version="1.0.0", initiator="com.app.main"
    )


def record(status: str = "active", *, parent: str | None = None, failed: bool = False) -> Record:
    execution = "failure" if failed else "normal"
    return {"executionStatus": execution, "status": status, "parentSubject": parent}


# --- the schema -------------------------------------------------------------


async def test_without_the_schema_every_call_names_the_remedy(
    postgres_dsn: str, no_schema: str
) -> None:
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        with pytest.raises(MachineMemoryError, match=r"await memory\.migrate\(\)") as caught:
            await memory.read("order-7")
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        await memory.migrate()
        assert await memory.read("order-7") is None


async def test_a_schema_that_is_dropped_meanwhile_is_reported_as_missing(
    postgres_dsn: str, no_schema: str
) -> None:
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        await memory.migrate()
        await execute(postgres_dsn, f"DROP SCHEMA {quoted(no_schema)} CASCADE")
        with pytest.raises(MachineMemoryError, match=r"await memory\.migrate\(\)"):
            await memory.read("order-7")


async def test_a_newer_schema_is_refused_by_every_call(postgres_dsn: str, no_schema: str) -> None:
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        await memory.migrate()
    table = f"{quoted(no_schema)}.machines_migrations"
    await execute(postgres_dsn, f"INSERT INTO {table} (version) VALUES (999)")
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        for call in (memory.read("order-7"), memory.migrate(), memory.migrate(dry_run=True)):
            with pytest.raises(MachineMemoryError, match="pip install --upgrade") as caught:
                await call
            assert not caught.value.retryable


async def test_two_tables_of_a_schema_are_independent(postgres_dsn: str, no_schema: str) -> None:
    async with AsyncExitStack() as stack:
        shop, stock = [
            await stack.enter_async_context(
                PostgresMachineMemory.connect(postgres_dsn, schema=no_schema, table=table)
            )
            for table in ("shop", "s" * 52)
        ]
        assert all(await asyncio.gather(shop.migrate(), stock.migrate()))
        await shop.write("order-7", {"by": "shop"}, None)
        assert await stock.read("order-7") is None


async def test_a_dry_run_shows_the_sql_and_changes_nothing(
    postgres_dsn: str, no_schema: str
) -> None:
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        sql = await memory.migrate(dry_run=True)
        assert f'CREATE TABLE "{no_schema}"."machines" (' in sql
        assert not await fetch(
            postgres_dsn, "SELECT FROM pg_namespace WHERE nspname = $1", no_schema
        )
        await execute(postgres_dsn, sql)
        assert await memory.migrate() == ""


async def test_a_schema_of_the_first_version_is_migrated_and_keeps_its_workflows(
    postgres_dsn: str, no_schema: str
) -> None:
    made = (Path(__file__).parent / "schema_1.sql").read_text("utf-8")
    await execute(postgres_dsn, made.replace('"shop"', quoted(no_schema)))
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        with pytest.raises(MachineMemoryError, match=r"version 1, older than 5.*migrate\(\)"):
            await memory.read("order-7")
        assert "machines_chunks" in await memory.migrate()
        assert await memory.migrate() == ""
        lease = await leased(memory)
        assert lease.record == {"status": "active", "count": 1}
        assert (lease.version, lease.tail, list(lease.chunks)) == (1, b"", [])
        write = record_write({"status": "done", "count": 2}, tail=b"tail", chunk=b"chunk")
        await memory.commit(lease, write)
        lease = await leased(memory)
        assert lease.record == {"status": "done", "count": 2}
        assert (lease.tail, list(lease.chunks)) == (b"tail", [(1, b"chunk")])


async def test_a_new_schema_begins_with_the_one_that_the_first_version_made(
    postgres_dsn: str, no_schema: str
) -> None:
    """A migration that was released never changes."""
    made = (Path(__file__).parent / "schema_1.sql").read_text("utf-8")
    async with PostgresMachineMemory.connect(postgres_dsn, schema=no_schema) as memory:
        sql = await memory.migrate(dry_run=True)
        first, _, _ = sql.partition("-- Each step writes the tail again")
        assert first.strip() in made.replace('"shop"', quoted(no_schema))


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "ö" * 32, "\ud800"])
def test_an_invalid_name_of_a_schema_or_table_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="schema must be a name"):
        PostgresMachineMemory(client=None, schema=name)
    with pytest.raises(ValueError, match="table must be a name"):
        PostgresMachineMemory(client=None, table=name)


@pytest.mark.parametrize(
    "injected", ['x"; DROP TABLE machines; --', "x'; SELECT 1; --", "{table}", "$1", "a.b", "ö % Ä"]
)
async def test_names_and_ids_are_never_run_as_sql(
    injected: str, postgres_dsn: str, no_schema: str, connect_to: Connect
) -> None:
    name = f"{no_schema} {injected}"
    try:
        async with PostgresMachineMemory.connect(
            postgres_dsn, schema=name, table=injected
        ) as memory:
            await memory.migrate()
            assert await memory.migrate() == ""
            await memory.write(injected, {"text": injected}, None)
            assert await memory.read(injected) == {"text": injected}
            page = await memory.workflows(WorkflowQuery(root=injected, key=injected))
            assert [each.subject for each in page.workflows] == [injected]
        found = await fetch(postgres_dsn, "SELECT FROM pg_namespace WHERE nspname = $1", name)
        assert len(found) == 1
        tables = await fetch(
            postgres_dsn, "SELECT tablename FROM pg_tables WHERE schemaname = $1", name
        )
        assert {row["tablename"] for row in tables} == {
            injected,
            f"{injected}_chunks",
            f"{injected}_due",
            f"{injected}_migrations",
        }
    finally:
        await execute(postgres_dsn, f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")


@pytest.mark.parametrize("machine_id", ["a\0b", "\ud800"])
async def test_an_id_that_postgresql_cannot_store_is_refused(
    machine_id: str, connect_to: Connect
) -> None:
    async with connect_to() as memory:
        for call in (
            memory.read(machine_id),
            memory.acquire(machine_id),
            memory.lock(machine_id),
            memory.workflow(machine_id),
        ):
            with pytest.raises(TransactionViolation) as caught:
                await call
            assert caught.value.cause is TransactionViolationCause.INVALID_SUBJECT


# --- what is stored ---------------------------------------------------------


def typescript_records() -> Iterator[dict[str, Any]]:
    for area in ("orchestrator", "resumable"):
        cases = json.loads((VECTORS / f"{area}.json").read_text("utf-8"))["cases"]
        for case in cases:
            for step in case["expected"].get("ok", {}).get("steps", []):
                yield from filter(None, (step.get("memory") or {}).values())


async def test_records_of_the_typescript_version_survive_byte_for_byte(
    connect_to: Connect,
) -> None:
    records = {
        f"order-{n}": json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode()
        for n, each in enumerate(typescript_records())
    }
    assert len(records) > 50
    async with connect_to() as memory:
        for machine_id, written in records.items():
            await memory.write(machine_id, json.loads(written), None)
        table = memory._sql.read.partition("FROM ")[2].partition(" AS")[0]
        rows = await on_its_connection(memory, f"SELECT machine_id, state FROM {table}")
        assert {row["machine_id"]: row["state"] for row in rows} == records
        for machine_id, written in records.items():
            read = await memory.read(machine_id)
            assert json.dumps(read, separators=(",", ":"), ensure_ascii=False).encode() == written


async def test_updates_of_a_step_are_hot(postgres_dsn: str, connect_to: Connect) -> None:
    """No index covers what a step changes, so steps leave no index entries behind."""
    machine_id = subject("arvo.orc.order")
    async with connect_to() as memory:
        table = memory._sql.read.partition("FROM ")[2].partition(" AS")[0]
        for _ in range(2):
            lease = await memory.acquire(machine_id)
            assert lease is not None
            await memory.commit(lease, record_write(record()))
    connection = await asyncpg.connect(postgres_dsn)
    try:
        async with connection.transaction():
            before = await _hot_updates(connection, table)
            for sql in (
                f"UPDATE {table} SET lease_owner = 'x', lease_until = clock_timestamp()",
                f"UPDATE {table} SET version = version + 1, state = 'x', updated_at = now()",
                # Commits set these too, to the same value.
                f"UPDATE {table} SET status = status, source = source, root = root",
                f"UPDATE {table} SET workflow_key = workflow_key, created_at = created_at",
            ):
                await connection.execute(sql)
            assert await _hot_updates(connection, table) == before + 4
    finally:
        await connection.close()


@pytest.mark.parametrize("of_a_child", [False, True])
async def test_a_step_is_planned_once(of_a_child: bool, connect_to: Connect) -> None:
    """After five plans, PostgreSQL either keeps a generic one or plans anew each time."""
    root = subject("arvo.orc.order")
    machine_id = subject("arvo.orc.payment", root) if of_a_child else root
    async with connect_to(pool_size=1) as memory:
        for _ in range(20):
            lease = await memory.acquire(machine_id)
            assert lease is not None
            await memory.commit(lease, record_write(record(parent=root if of_a_child else None)))
        prepared = await on_its_connection(memory, "SELECT * FROM pg_prepared_statements")
    plans = {row["statement"]: (row["custom_plans"], row["generic_plans"]) for row in prepared}
    assert plans[memory._sql.acquire] == (5, 15)
    assert plans[memory._sql.commit["kept"]] == (5, 15)


async def _hot_updates(connection: asyncpg.Connection, table: str) -> int:
    count: int = await connection.fetchval(
        "SELECT pg_stat_get_xact_tuples_hot_updated($1::text::regclass)", table
    )
    return count


# --- for operators ----------------------------------------------------------


async def test_cleanup_forgets_a_workflow_and_its_lease(connect_to: Connect) -> None:
    async with connect_to() as memory:
        await memory.write("order-7", record(), None)
        lease = await memory.acquire("order-7")
        assert lease is not None
        assert await memory.cleanup("order-7") is True
        assert await memory.cleanup("order-7") is False
        assert await memory.read("order-7") is None
        with pytest.raises(TransactionViolation):
            await memory.commit(lease, record_write(record()))


async def test_finished_workflows_are_deleted_in_batches(connect_to: Connect) -> None:
    async with connect_to() as memory:
        for n in range(7):
            await memory.write(f"done-{n}", record("done"), None)
        await memory.write("failed", record(failed=True), None)
        await memory.write("active", record(), None)
        await memory.write("leased", record("done"), None)
        assert await memory.lock("leased")
        assert await memory.delete_finished(older_than=timedelta(hours=1)) == 0
        assert await memory.delete_finished(older_than=timedelta(0), batch=3) == 8
        page = await memory.workflows(WorkflowQuery())
        assert {each.subject for each in page.workflows} == {"active", "leased"}


async def test_releasing_a_workflow_that_was_never_written_leaves_no_row(
    connect_to: Connect,
) -> None:
    async with connect_to() as memory:
        lease = await memory.acquire("order-7")
        assert lease is not None
        await memory.release(lease)
        assert await memory.cleanup("order-7") is False


# --- clock, pool, URL, PgBouncer and spans ----------------------------------


async def test_waiting_for_a_lease_follows_the_clock(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    clock = FakeClock()
    day = timedelta(days=1)
    policy = LockPolicy(ttl=7 * day, max_hold=7 * day, max_wait=day)
    async with connect_to() as holder, connect_to(clock=clock, policy=policy) as memory:
        assert await holder.acquire("order-7") is not None
        waiter = asyncio.ensure_future(memory.acquire("order-7"))
        async with asyncio.timeout(20):
            while not waiter.done():
                await asyncio.sleep(0)
                clock.advance(timedelta(minutes=10))
        assert await waiter is None


async def test_a_borrowed_pool_stays_open(postgres_dsn: str, schema: str) -> None:
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=2) as pool:
        memory = PostgresMachineMemory(pool, schema=schema)
        await memory.write("order-7", {"count": 1}, None)
        await memory.aclose()
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_borrowed_client_stays_open_and_serves_others(
    postgres_dsn: str, schema: str
) -> None:
    async with Connections.connect(postgres_dsn, pool_size=1) as client:
        memory, other = (PostgresMachineMemory(client, schema=schema) for _ in range(2))
        await memory.write("order-7", {"count": 1}, None)
        await memory.aclose()
        with pytest.raises(MachineMemoryError, match="closed"):
            await memory.read("order-7")
        assert await other.read("order-7") == {"count": 1}


async def test_the_memory_of_a_url_creates_its_schema(postgres_dsn: str) -> None:
    async with postgres_memory(postgres_dsn) as memory:
        assert await memory.read("a workflow that never ran") is None


async def test_a_memory_works_without_prepared_statements(connect_to: Connect) -> None:
    """A PgBouncer may not support them."""
    async with connect_to(statement_cache_size=0, pool_size=1) as memory:
        for count in range(3):
            lease = await memory.acquire("order-7")
            assert lease is not None
            # A pooler may run the next transaction in another session.
            await on_its_connection(memory, "DEALLOCATE ALL")
            await memory.commit(lease, record_write({"count": count}))
        assert await memory.read("order-7") == {"count": 2}


async def test_each_operation_has_a_span(connect_to: Connect, schema: str) -> None:
    async with connect_to() as memory:
        await memory.read("order-7")
        with SpanRecorder() as spans:
            lease = await memory.acquire("order-7")
            assert lease is not None
            await memory.commit(lease, record_write({"count": 1}))
        names = [span.name for span in spans.spans]
        assert names == [f"ACQUIRE {schema}.machines", f"COMMIT {schema}.machines"]
        assert dict(spans.spans[1].attributes or {}) == {
            "db.system.name": "postgresql",
            "db.operation.name": "COMMIT",
            "db.collection.name": f"{schema}.machines",
        }
