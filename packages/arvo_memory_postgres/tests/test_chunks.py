"""How the tables store tails and chunks; the suites test what callers see of them."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from arvo_event_handler import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.testing import record_write

from .conftest import Connect, execute, fetch, leased, on_its_connection, quoted

HOUR = timedelta(hours=1)


async def count(dsn: str, schema: str) -> Any:
    [row] = await fetch(dsn, f"SELECT count(*) FROM {quoted(schema)}.machines_chunks")
    return row[0]


@pytest.mark.parametrize("frees", ["none", "earlier", "all"])
async def test_acquire_that_waits_for_a_commit_reads_its_chunk(
    frees: str, connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    """The commit is held open; what ACQUIRE sees of the chunks is from before."""
    table = f"{quoted(schema)}.machines"
    freed = {"none": "freed_chunk", "earlier": "last_chunk", "all": "last_chunk + 1"}[frees]
    async with connect_to() as memory:
        for chunk in (b"a", b"b"):
            await memory.commit(await leased(memory), record_write({}, chunk=chunk))
        connection = await asyncpg.connect(postgres_dsn)
        try:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(
                f"UPDATE {table} SET version = 3, last_owner = 'other', tail = 'tail',"
                f" freed_chunk = {freed}, last_chunk = last_chunk + 1"
            )
            await connection.execute(
                f"DELETE FROM {table}_chunks AS c USING {table} WHERE c.number <= freed_chunk"
            )
            if frees != "all":
                await connection.execute(
                    f"INSERT INTO {table}_chunks SELECT key, 3, 'pc' FROM {table}"
                )
            waiting = asyncio.ensure_future(memory.acquire("order-7", after=1))
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not await connection.fetchval(blocked):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            assert not waiting.done()
            await transaction.commit()
            lease = await waiting
        finally:
            await connection.close()
        assert lease is not None
        assert (lease.version, lease.tail, lease.last_chunk) == (3, b"tail", 3)
        left = {"none": [(2, b"b"), (3, b"c")], "earlier": [(3, b"c")], "all": []}
        assert list(lease.chunks) == left[frees]


async def test_whatever_deletes_a_workflow_deletes_its_chunks(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with connect_to() as memory:
        for machine_id in ("cleaned", "done", "by-hand"):
            for _ in range(2):
                lease = await leased(memory, machine_id)
                write = record_write({"status": "done"}, chunk=b"chunk")
                await memory.commit(lease, write)
        assert await count(postgres_dsn, schema) == 6
        assert await memory.cleanup("cleaned")
        assert await count(postgres_dsn, schema) == 4
        await execute(
            postgres_dsn, f"DELETE FROM {quoted(schema)}.machines WHERE machine_id = 'by-hand'"
        )
        assert await count(postgres_dsn, schema) == 2
        assert await memory.delete_finished(older_than=timedelta(0)) == 1
        assert await count(postgres_dsn, schema) == 0


async def test_cleanup_beside_commits_leaves_no_chunk_without_its_workflow(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with connect_to() as memory:
        for _ in range(20):
            lease = await leased(memory)
            committing = memory.commit(lease, record_write({}, chunk=b"chunk"))
            await asyncio.gather(committing, memory.cleanup("order-7"), return_exceptions=True)
        await memory.cleanup("order-7")
        assert await count(postgres_dsn, schema) == 0


async def test_a_later_life_deletes_what_is_left_of_the_one_before(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with connect_to() as memory:
        write = record_write({}, chunk=b"old", tail=b"old tail", expires_in=HOUR)
        await memory.commit(await leased(memory), write)
        await execute(
            postgres_dsn, f"UPDATE {quoted(schema)}.machines SET expires_at = now() - interval '1s'"
        )
        lease = await leased(memory)
        assert (lease.version, lease.tail, list(lease.chunks)) == (0, b"", [])
        await memory.commit(lease, record_write({}))
        assert await count(postgres_dsn, schema) == 0


async def test_a_commit_with_a_chunk_is_planned_once(connect_to: Connect) -> None:
    async with connect_to(pool_size=1) as memory:
        for number in range(20):
            lease = await leased(memory)
            write = record_write({}, tail=b"tail" * (number % 2), chunk=b"chunk")
            await memory.commit(lease, write)
        prepared = await on_its_connection(memory, "SELECT * FROM pg_prepared_statements")
    plans = {row["statement"]: (row["custom_plans"], row["generic_plans"]) for row in prepared}
    assert plans[memory._sql.acquire] == (5, 15)
    assert plans[memory._sql.commit_chunk["kept"]] == (5, 15)


async def test_tails_are_closed_from_8_kib_on_by_default(connect_to: Connect) -> None:
    async with connect_to() as memory:
        assert memory.chunk_bytes == 8192
    async with connect_to(chunk_bytes=0) as memory:
        assert memory.chunk_bytes == 0
    with pytest.raises(ValueError, match="chunk_bytes must not be negative"):
        async with connect_to(chunk_bytes=-1):
            pass


async def test_a_chunk_above_the_limit_is_neither_written_nor_read(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with connect_to(max_record_bytes=500) as memory:
        lease = await leased(memory)
        with pytest.raises(UnwritableRecordError, match="501 bytes, above the 500"):
            await memory.commit(lease, record_write({"count": 1}, chunk=b"x" * 501))
        assert await memory.read("order-7") is None
        await memory.commit(lease, record_write({"count": 1}, chunk=b"x" * 500))
    async with connect_to(max_record_bytes=499) as memory:
        with pytest.raises(UnreadableRecordError, match="chunk 1 is longer than the 499 bytes"):
            await memory.acquire("order-7")
        assert await memory.lock("order-7"), "the lease was released"


async def test_a_damaged_chunk_is_a_read_failure_that_names_it(
    connect_to: Connect, postgres_dsn: str, schema: str
) -> None:
    async with connect_to() as memory:
        for chunk in (b"a", b"x" * 5_000, b"c"):
            await memory.commit(await leased(memory), record_write({}, chunk=chunk))
        table = f"{quoted(schema)}.machines_chunks"
        [stored] = await fetch(postgres_dsn, f"SELECT length(data) FROM {table} WHERE number = 2")
        assert stored["length"] < 100, "long chunks are deflated"
        await execute(
            postgres_dsn, f"UPDATE {table} SET data = substr(data, 1, 9) WHERE number = 2"
        )
        with pytest.raises(UnreadableRecordError, match="chunk 2 "):
            await memory.acquire("order-7")
        lease = await memory.acquire("order-7", after=2)
        assert lease is not None
        assert list(lease.chunks) == [(3, b"c")]
        with pytest.raises(UnreadableRecordError, match="chunk 2 "):
            await memory.chunks(lease)
