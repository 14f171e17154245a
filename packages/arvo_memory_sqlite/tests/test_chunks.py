"""How the file stores tails and chunks; the suites test what callers see of them."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from arvo_event_handler import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import LockPolicy, MachineLease
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_time.testing import FakeClock

from .inside import writer_of

HOUR = timedelta(hours=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def memory(path: Path, clock: FakeClock) -> AsyncIterator[SqliteMachineMemory]:
    policy = LockPolicy(max_wait=timedelta(0))
    async with SqliteMachineMemory.connect(path, policy=policy, clock=clock) as memory:
        yield memory


async def granted(memory: SqliteMachineMemory, machine_id: str = "order-7") -> MachineLease:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    return lease


def ask(path: Path, what: str, *values: object) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        answer = connection.execute(what, values).fetchall()
        connection.commit()
        return answer
    finally:
        connection.close()


async def test_long_chunks_are_deflated_and_tails_are_not(
    memory: SqliteMachineMemory, path: Path
) -> None:
    for chunk in [b"x" * 4095, b"x" * 4096]:
        lease = await granted(memory)
        await memory.commit(lease, record_write({}, chunk=chunk, tail=b"x" * 10_000))
    [(short,), (long,)] = ask(path, "SELECT data FROM chunk ORDER BY number")
    assert short == b"p" + b"x" * 4095
    assert (long[:1], len(long) < 100) == (b"z", True)
    assert ask(path, "SELECT length(tail) FROM machine") == [(10_000,)]


async def test_whatever_deletes_a_workflow_deletes_its_chunks(
    memory: SqliteMachineMemory, path: Path, clock: FakeClock
) -> None:
    for number in range(4):
        lease = await granted(memory, f"order-{number}")
        expires_in = HOUR if number < 2 else None
        await memory.commit(lease, record_write({}, chunk=b"chunk", expires_in=expires_in))
    assert ask(path, "SELECT count(*) FROM chunk") == [(4,)]
    assert await memory.cleanup("order-3")
    await clock.run_for(2 * HOUR)
    await granted(memory, "order-0")
    await memory.write("order-9", {}, None)
    assert ask(path, "SELECT id FROM machine JOIN chunk ON machine = seq") == [("order-2",)]
    assert ask(path, "SELECT count(*) FROM chunk") == [(1,)]
    ask(path, "DELETE FROM machine")
    assert ask(path, "SELECT count(*) FROM chunk") == [(0,)]


async def test_a_lease_on_a_known_workflow_uses_no_number_of_the_table(
    memory: SqliteMachineMemory, path: Path
) -> None:
    await memory.write("order-7", {}, None)
    for _ in range(5):
        lease = await granted(memory)
        assert await memory.acquire("order-7") is None
        await memory.commit(lease, record_write({}))
        await memory.write("order-7", {}, {})
    assert ask(path, "SELECT seq FROM sqlite_sequence WHERE name LIKE 'machine%'") == [(1,)]


async def test_a_chunk_above_the_limit_is_neither_written_nor_read(path: Path) -> None:
    async with SqliteMachineMemory.connect(path, max_record_bytes=500) as memory:
        lease = await granted(memory)
        write = record_write({"count": 1}, chunk=b"x" * 501, tail=b"tail")
        with pytest.raises(UnwritableRecordError, match="501 bytes, above the 500"):
            await memory.commit(lease, write)
        await memory.release(lease)
        assert await memory.read("order-7") is None
        assert ask(path, "SELECT count(*) FROM chunk") == [(0,)]
        lease = await granted(memory)
        await memory.commit(lease, record_write({"count": 1}, chunk=b"x" * 500))
    async with SqliteMachineMemory.connect(path, max_record_bytes=499) as memory:
        with pytest.raises(UnreadableRecordError, match="chunk 1 is longer than the 499 bytes"):
            await memory.acquire("order-7")
        assert await memory.lock("order-7"), "the lease was released"


async def test_a_chunk_that_is_too_large_for_sqlite_changes_nothing(
    memory: SqliteMachineMemory, path: Path
) -> None:
    await memory.commit(await granted(memory), record_write({"count": 1}, chunk=b"a", tail=b"tail"))
    writer_of(memory)._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 3_000)
    lease = await granted(memory)
    write = record_write({"count": 2}, chunk=b"x" * 3_000, frees="all")
    with pytest.raises(UnwritableRecordError, match=r"a chunk .* is too large for SQLite"):
        await memory.commit(lease, write)
    await memory.release(lease)
    lease = await granted(memory)
    assert (lease.record, lease.tail, list(lease.chunks)) == ({"count": 1}, b"tail", [(1, b"a")])


@pytest.mark.parametrize("damaged", [b"z\x00", b"", b"?a", b"z"])
async def test_a_damaged_chunk_is_a_read_failure_that_names_it_and_keeps_no_lease(
    memory: SqliteMachineMemory, path: Path, damaged: bytes
) -> None:
    for chunk in [b"a", b"b", b"c"]:
        await memory.commit(await granted(memory), record_write({}, chunk=chunk))
    ask(path, "UPDATE chunk SET data = ? WHERE number = 2", damaged)
    with pytest.raises(UnreadableRecordError, match="chunk 2 "):
        await memory.acquire("order-7")
    lease = await memory.acquire("order-7", after=2)
    assert lease is not None
    assert list(lease.chunks) == [(3, b"c")]
    with pytest.raises(UnreadableRecordError, match="chunk 2 "):
        await memory.chunks(lease)


async def test_tails_are_closed_from_2_kib_on_by_default(path: Path) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        assert memory.chunk_bytes == 2048
    async with SqliteMachineMemory.connect(path, chunk_bytes=0) as memory:
        assert memory.chunk_bytes == 0
    for wrong in (-1, "2048"):
        with pytest.raises((TypeError, ValueError), match="chunk_bytes must "):
            async with SqliteMachineMemory.connect(path, chunk_bytes=wrong):  # type: ignore[arg-type]
                pass
