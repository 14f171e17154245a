"""How the index of timers is stored, planned and shared; the suites test what callers see of it."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg
import pytest

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import UNCHANGED, NextTimer, Unchanged
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_postgres._due_table import CLAIM, NEXT
from arvo_memory_postgres._statements import Statements, in_table
from arvo_postgres import TableName

from .conftest import Connect, behind_proxy, execute, fetch, leased, on_its_connection, quoted
from .test_processes import Process

INSTANTS = 200 if os.environ.get("ARVO_FULL") == "1" else 20
PENDING = 100_000 if os.environ.get("ARVO_FULL") == "1" else 20_000
PAST = datetime(2020, 2, 29, 23, 59, 59, 7000, UTC)
MINUTE = timedelta(minutes=1)

_FILL = """
INSERT INTO {table} (key, machine_id, version, codec, state, status, source, workflow_key, root)
SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'order-' || n, 1, 'json', '{{}}', 'active', '', '', ''
FROM generate_series(1, {pending}) AS n;
INSERT INTO {due} SELECT key, created_at, now() + {ahead}, 'pay#1', now() + {ahead}, 0 FROM {table}"""


async def step(
    memory: PostgresMachineMemory,
    timer: NextTimer | Unchanged | None = UNCHANGED,
    *,
    machine_id: str = "order-7",
    expires_in: timedelta | None = None,
) -> None:
    write = record_write({}, timer=timer, expires_in=expires_in)
    await memory.commit(await leased(memory, machine_id), write)


async def hold_ends(dsn: str, schema: str) -> None:
    """Let the holds of all claims end."""
    await execute(dsn, f"UPDATE {quoted(schema)}.machines_due SET held_until = at")


async def plans(connection: asyncpg.Connection, sql: str, values: str) -> list[str]:
    """Return the plans of a statement with its values and without."""
    found: list[str] = []
    await connection.execute(f"PREPARE asked AS {sql}")
    for mode in ["custom", "generic"]:
        await connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
        rows = await connection.fetch(f"EXPLAIN EXECUTE asked{values}")
        found.append("\n".join(row[0] for row in rows))
    await connection.execute("DEALLOCATE asked")
    return found


@pytest.mark.scaled
async def test_claims_are_read_along_the_index(postgres_dsn: str, schema: str) -> None:
    """However many are pending or due, and whatever the server knows of that."""
    table = TableName(schema=schema, table="machines")
    connection = await asyncpg.connect(postgres_dsn)
    try:
        for ahead in ["", "interval '1 day'", "- interval '1 day'"]:
            await connection.execute(f"TRUNCATE {table.quoted} CASCADE")
            if ahead:
                fill = {"table": table.quoted, "due": table.beside("_due"), "pending": PENDING}
                await connection.execute(_FILL.format(**fill, ahead=ahead))
            # Where statistics say that a table is empty, any plan is as good.
            for is_analyzed in [False, True] if ahead else [False]:
                if is_analyzed:
                    await connection.execute(f"ANALYZE {table.quoted}, {table.beside('_due')}")
                asked = [
                    *await plans(connection, in_table(CLAIM, table), "(100, 30, 3600)"),
                    *await plans(connection, in_table(NEXT, table), ""),
                ]
                for plan in asked:
                    assert "Index Scan using machines_due_held_until_idx" in plan, plan
                    assert "Seq Scan" not in plan, plan
                    assert "Sort" not in plan, plan
                # Searched, not walked.
                assert all("Index Cond: (held_until <= " in plan for plan in asked[:2])
    finally:
        await connection.close()


async def test_a_step_that_moves_a_timer_is_planned_once_and_hot(
    postgres_dsn: str, connect_to: Connect, schema: str
) -> None:
    """One statement, and the workflow's row stays on its page."""
    table = f"{quoted(schema)}.machines"
    async with connect_to(pool_size=1) as memory:
        for number in range(20):
            await step(memory, NextTimer(at=PAST + number * MINUTE, key="pay#1"))
            await step(memory, None)
        prepared = await on_its_connection(memory, "SELECT * FROM pg_prepared_statements")
        statements: Statements = memory._sql
    counted = {row["statement"]: (row["custom_plans"], row["generic_plans"]) for row in prepared}
    assert counted[statements.commit["set"]] == (5, 15)
    assert counted[statements.commit["dropped"]] == (5, 15)
    connection = await asyncpg.connect(postgres_dsn)
    hot = "SELECT pg_stat_get_xact_tuples_hot_updated($1::text::regclass)"
    try:
        async with connection.transaction():
            await connection.execute(
                f"WITH w AS (UPDATE {table} SET version = version + 1 RETURNING key, created_at) "
                f"INSERT INTO {table}_due SELECT key, created_at, now(), 'pay#1', now(), 0 FROM w"
            )
            assert await connection.fetchval(hot, table) == 1
            await connection.execute(f"UPDATE {table} SET version = version + 1, tail = 'x'")
            assert await connection.fetchval(hot, table) == 2
    finally:
        await connection.close()


async def test_an_entry_of_an_earlier_life_is_not_claimed_but_dropped(
    postgres_dsn: str, connect_to: Connect, schema: str
) -> None:
    """Its record has expired, and the workflow has begun again with no timer, or another one."""
    due = f"{quoted(schema)}.machines_due"
    async with connect_to() as memory:
        for machine_id in ["gone", "again", "other"]:
            timer = NextTimer(at=PAST, key="old#1")
            await step(memory, timer, machine_id=machine_id, expires_in=MINUTE)
        await execute(postgres_dsn, f"UPDATE {due[:-4]} SET expires_at = now()")
        await step(memory, machine_id="again")
        await step(memory, NextTimer(at=PAST, key="new#1"), machine_id="other")
        assert await memory.next_due() == PAST
        claimed = await memory.claim_due(limit=1, hold=MINUTE)
        assert [(each.machine_id, each.key) for each in claimed] == [("other", "new#1")]
        assert [row["key"] for row in await fetch(postgres_dsn, f"SELECT key FROM {due}")] == [
            b"new#1"
        ]


async def test_a_claim_beside_a_workflow_that_begins_again_leaves_its_new_timer(
    postgres_dsn: str, connect_to: Connect, schema: str
) -> None:
    """The claim sees the workflow as forgotten; when it gets the entry's lock, that is of a new life."""
    table = f"{quoted(schema)}.machines"
    async with connect_to() as memory:
        await step(memory, NextTimer(at=PAST, key="old#1"), expires_in=MINUTE)
        await execute(postgres_dsn, f"UPDATE {table} SET expires_at = now()")
        (stale,) = await fetch(postgres_dsn, f"SELECT key FROM {table}")
        await step(memory, NextTimer(at=PAST, key="new#1"))
        # What the claim would do next, as it had seen the workflow before.
        assert not await memory._dropped([stale["key"]])
        claimed = await memory.claim_due(limit=1, hold=MINUTE)
        assert [each.key for each in claimed] == ["new#1"]


async def test_keys_that_text_cannot_store_come_back(connect_to: Connect) -> None:
    """A name comes from people; a record stores any."""
    async with connect_to() as memory:
        for key in ["a NUL \0#1", "half \ud800#1"]:
            await step(memory, NextTimer(at=PAST, key=key))
            (claimed,) = await memory.claim_due(limit=1, hold=MINUTE)
            assert claimed.key == key


async def test_whatever_deletes_a_workflow_deletes_its_timer(
    postgres_dsn: str, connect_to: Connect
) -> None:
    async with connect_to() as memory:
        for machine_id in ["cleaned", "finished"]:
            await step(memory, NextTimer(at=PAST, key="pay#1"), machine_id=machine_id)
        await memory.commit(
            await leased(memory, "finished"), record_write({"status": "done"}, timer=UNCHANGED)
        )
        assert await memory.cleanup("cleaned")
        assert await memory.delete_finished(older_than=timedelta(0)) == 1
        assert await memory.next_due() is None


# --- faults -----------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.timeout(120)
async def test_timer_and_state_are_both_there_or_both_not(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """Requests and replies of commits are cut at random instants, of one try or of all three."""
    random = Random(11)
    table = f"{quoted(schema)}.machines"
    asked = f"SELECT convert_from(state, 'UTF8')::json->>'count' AS count, d.key FROM {table} AS m LEFT JOIN {table}_due AS d ON d.machine = m.key"
    there = Counter[bool]()
    count = 0
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory), connect_to() as other:
        await other.commit(await leased(other), record_write({"count": "0"}))
        for instant in range(1, INSTANTS + 1):
            mark = f"mark {instant}."
            of_requests = random.choice([0.5, 1.0])
            for _ in range(random.choice([1, 3])):
                n_bytes = random.randrange(60)
                if random.random() < of_requests:
                    proxy.lose_next_request(containing=mark.encode(), n_bytes=n_bytes)
                else:
                    proxy.cut_reply_after(n_bytes, containing=mark.encode())
            lease = await leased(other)
            timer = NextTimer(at=PAST, key=f"pay#{instant}") if instant % 3 else None
            write = record_write({"count": str(instant), "mark": mark}, timer=timer)
            try:
                await memory.commit(lease, write)
            except MachineMemoryError as error:
                assert error.outcome in {"unknown", "failed"}  # noqa: PT017 - either may happen
                await other.release(lease)
            (row,) = await fetch(postgres_dsn, asked)
            is_there = row["count"] == str(instant)
            there[is_there] += 1
            count = instant if is_there else count
            assert row["count"] == str(count)
            assert row["key"] == (f"pay#{count}".encode() if count % 3 else None)
    assert min(there[True], there[False]) > 0
    print(f"{INSTANTS} cuts: both there {there[True]} times, both not {there[False]} times")  # noqa: T201 - the figure of the run


CLAIM_AND_WAIT = """
import asyncio, sys
from datetime import timedelta
from arvo_memory_postgres import PostgresMachineMemory

async def main(dsn, schema):
    async with PostgresMachineMemory.connect(dsn, schema=schema) as memory:
        claimed = await memory.claim_due(limit=100, hold=timedelta(minutes=1))
        print(len(claimed), flush=True)
        sys.stdin.readline()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_process_had_claimed_returns_after_the_hold(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    async with connect_to() as memory:
        for number in range(5):
            timer = NextTimer(at=PAST, key="pay#1")
            await step(memory, timer, machine_id=f"order-{number}")
        async with Process.start(CLAIM_AND_WAIT, postgres_dsn, schema) as holder:
            assert await holder.says() == "5"
            holder.process.kill()
            await holder.process.wait()
        assert await memory.claim_due(limit=100, hold=MINUTE) == []
        await hold_ends(postgres_dsn, schema)
        claimed = await memory.claim_due(limit=100, hold=MINUTE)
        assert {(each.machine_id, each.claims) for each in claimed} == {
            (f"order-{number}", 2) for number in range(5)
        }
    print("5 timers claimed before SIGKILL, 5 claimed again after the hold")  # noqa: T201 - the figure of the run


@pytest.mark.timeout(120)
async def test_fifty_claims_of_a_thousand_due_share_them(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """Over as many connections as there are."""
    table = TableName(schema=schema, table="machines")
    fill = {"table": table.quoted, "due": table.beside("_due"), "pending": 1000}
    await execute(postgres_dsn, _FILL.format(**fill, ahead="- interval '1 s'"))
    async with AsyncExitStack() as stack:
        memories = [
            await stack.enter_async_context(connect_to(pool_size=5, pool_timeout=MINUTE))
            for _ in range(5)
        ]

        async def claims(memory: PostgresMachineMemory) -> Sequence[str]:
            claimed = await memory.claim_due(limit=20, hold=MINUTE)
            return [each.machine_id for each in claimed]

        parts = await asyncio.gather(*(claims(memory) for memory in memories * 10))
        assert await memories[0].claim_due(limit=20, hold=MINUTE) == []
    claimed = [machine_id for part in parts for machine_id in part]
    assert len(claimed) == len({*claimed}) == 1000
    print(f"50 concurrent claims, {len({*claimed})} distinct of {len(claimed)}")  # noqa: T201 - the figure of the run
