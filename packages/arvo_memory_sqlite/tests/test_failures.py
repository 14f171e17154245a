"""What each error of SQLite means; only a record that is too large ends its workflow."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from arvo_event_handler import (
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import LockPolicy, Record, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory
from storm import answer_to, asking, question

from .inside import writer_of

ASKED: Final = "com.storm.answerer"


# --- a workflow ---------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def memory(path: Path) -> AsyncIterator[SqliteMachineMemory]:
    policy = LockPolicy(max_wait=timedelta(0))
    async with SqliteMachineMemory.connect(path, policy=policy) as memory:
        yield memory


def change(path: Path, sql: str, *values: object) -> None:
    """Change the file from outside."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(sql, values)
    connection.close()


@contextmanager
def pragma(memory: SqliteMachineMemory, during: str, after: str) -> Iterator[None]:
    """Set a condition of the file or the disk for the writer."""
    writer_of(memory)._connection.execute(f"PRAGMA {during}").fetchall()
    yield
    writer_of(memory)._connection.execute(f"PRAGMA {after}").fetchall()


@contextmanager
def trigger(path: Path, *, raising: str) -> Iterator[None]:
    """Add a trigger, as an operator may, that refuses commits and nothing else."""
    change(
        path,
        "CREATE TRIGGER no BEFORE UPDATE ON machine WHEN NEW.version <> OLD.version "
        f"BEGIN SELECT RAISE({raising}, 'not today'); END",
    )
    yield
    change(path, "DROP TRIGGER no")


@pytest.mark.parametrize("raising", ["ABORT", "FAIL", "ROLLBACK"])
async def test_a_trigger_that_refuses_a_commit_does_not_end_the_workflow(
    memory: SqliteMachineMemory, path: Path, raising: str
) -> None:
    handler = asking(memory)
    event = question()
    [request] = await handler.execute(event)
    before = await memory.read(event.subject)
    with trigger(path, raising=raising):
        with pytest.raises(TransactionViolation, match="not today") as caught:
            await handler.execute(answer_to(request))
        assert caught.value.cause is TransactionViolationCause.WRITE_FAILURE
        assert caught.value.retryable
        assert await memory.read(event.subject) == before
    [done] = await handler.execute(answer_to(request))
    assert done.data == {"text": "good"}


@pytest.mark.parametrize(
    ("during", "after", "words"),
    [
        ("query_only = ON", "query_only = OFF", "SQLITE_READONLY"),
        ("max_page_count = 1", "max_page_count = 1000000", "SQLITE_FULL"),
    ],
)
async def test_a_file_that_cannot_be_written_now_does_not_end_the_workflow(
    memory: SqliteMachineMemory, during: str, after: str, words: str
) -> None:
    handler = asking(memory)
    with pragma(memory, during, after):
        event = question("x" * 100_000)  # more than the pages that are free
        with pytest.raises(TransactionViolation, match=words) as caught:
            await handler.execute(event)
        assert caught.value.retryable
        assert await memory.read(event.subject) is None
    [request] = await handler.execute(event)
    assert request.type == ASKED


async def test_a_record_that_is_too_large_for_sqlite_ends_only_its_own_workflow(
    memory: SqliteMachineMemory,
) -> None:
    """The limit is SQLite's own, which a build may set."""
    writer_of(memory)._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 20_000)
    handler = asking(memory)
    [error] = await handler.execute(question("x" * 30_000))
    assert error.type == "sys.arvo.orc.storm.question.error"
    assert error.data["errorName"] == "UnwritableRecordError"
    assert "too large for SQLite" in error.data["errorMessage"]
    [request] = await handler.execute(question())
    assert request.type == ASKED
    for write in (write_at_once, commit):
        with pytest.raises(UnwritableRecordError):
            await write(memory, "order-7")
        assert await memory.read("order-7") is None


async def write_at_once(memory: SqliteMachineMemory, machine_id: str) -> None:
    await memory.write(machine_id, {"text": "x" * 30_000}, None)


async def commit(memory: SqliteMachineMemory, machine_id: str) -> None:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    try:
        await memory.commit(lease, record_write({"text": "x" * 30_000}))
    finally:
        await memory.release(lease)


DAMAGE: Final[dict[str, tuple[str, tuple[object, ...], str]]] = {
    "negative version": ("version = -1", (), "version -1"),
    "version of nothing": ("version = 0", (), "version 0"),
    "no record": ("codec = NULL, state = NULL", (), "version 1|no bytes"),
    "no bytes": ("state = NULL", (), "no bytes"),
    "no codec": ("codec = NULL", (), "codec None"),
    "unknown codec": ("codec = 'lz4'", (), "codec 'lz4'"),
    "codec that is not UTF-8": ("codec = CAST(x'ff' AS TEXT)", (), "not UTF-8"),
    "no JSON": ("state = ?", (b"{",), "not a JSON object"),
    "no JSON in UTF-8": ("state = ?", (b'{"a":"\xff"}',), "not a JSON object"),
    "not compressed": ("codec = 'zlib'", (), "cannot be decompressed"),
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_damaged_row_is_a_read_failure_and_leaves_no_lease(
    memory: SqliteMachineMemory, path: Path, kind: str
) -> None:
    setting, values, words = DAMAGE[kind]
    handler = asking(memory)
    event = question()
    [request] = await handler.execute(event)
    change(path, f"UPDATE machine SET {setting}", *values)  # noqa: S608 - from above
    # Twice: a lease left behind by the first would stop the second.
    for _ in range(2):
        with pytest.raises(TransactionViolation, match=words) as caught:
            await handler.execute(answer_to(request))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable
    with pytest.raises(UnreadableRecordError, match=words):
        await memory.read(event.subject)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT owner FROM machine").fetchall() == [(None,)]
    connection.close()


@pytest.mark.parametrize("end", [-1, 10**17, 2**63 - 1, -(2**63)])
async def test_a_lease_with_a_damaged_end_counts_as_ended(
    memory: SqliteMachineMemory, path: Path, end: int
) -> None:
    """The record is sound, and waiting for that lease could take indefinitely."""
    handler = asking(memory)
    event = question()
    [request] = await handler.execute(event)
    stale = await memory.acquire(event.subject)
    assert stale is not None
    change(path, "UPDATE machine SET lease_end = ?", end)
    [done] = await handler.execute(answer_to(request))
    assert done.data == {"text": "good"}
    with pytest.raises(TransactionViolation) as caught:
        await memory.commit(stale, record_write({}))
    assert caught.value.cause.is_contention


@pytest.mark.parametrize("time", [10**17, -(10**17), 2**63 - 1])
@pytest.mark.parametrize("column", ["updated_at", "expires_at", "due"])
async def test_a_damaged_time_is_reported_by_the_queries_that_show_it(
    memory: SqliteMachineMemory, path: Path, column: str, time: int
) -> None:
    """Steps do not read it, and queries do not show a workflow that expired long ago."""
    await memory.write("order-7", {"status": "active"}, None)
    change(path, f"UPDATE machine SET {column} = ?", time)  # noqa: S608 - from above
    if column == "expires_at" and time < 0:
        assert (await memory.workflows(WorkflowQuery())).workflows == ()
        return
    with pytest.raises(UnreadableRecordError, match="the stored time"):
        await memory.workflows(WorkflowQuery())
    assert await memory.read("order-7") == {"status": "active"}


async def test_a_lease_of_ten_years_is_respected(path: Path) -> None:
    """A LockPolicy allows that many, so they are not taken for damage."""
    years = timedelta(days=3650)
    policy = LockPolicy(ttl=years, max_hold=years, max_wait=timedelta(0))
    async with SqliteMachineMemory.connect(path, policy=policy) as memory:
        assert await memory.acquire("order-7") is not None
        assert await memory.acquire("order-7") is None


async def test_a_record_above_the_limit_is_neither_written_nor_read(path: Path) -> None:
    """The same limit, an argument of `connect`, holds both ways."""
    text: Record = {"text": "x" * 1_000}
    async with SqliteMachineMemory.connect(path, max_record_bytes=2_000) as memory:
        await memory.write("order-7", text, None)
    async with SqliteMachineMemory.connect(path, max_record_bytes=500) as memory:
        with pytest.raises(UnwritableRecordError, match="above the 500 that"):
            await memory.write("order-8", text, None)
        for reading in (memory.read("order-7"), memory.acquire("order-7")):
            with pytest.raises(UnreadableRecordError, match="longer than the 500 bytes"):
                await reading
        with pytest.raises(UnreadableRecordError, match="longer than the 500 bytes"):
            await memory.write("order-7", {}, text)
    for wrong in (0, -1, True):
        with pytest.raises((TypeError, ValueError), match="max_record_bytes must be"):
            async with SqliteMachineMemory.connect(path, max_record_bytes=wrong):
                raise AssertionError("it must not open")


async def test_a_damaged_row_is_not_changed_by_leases(
    memory: SqliteMachineMemory, path: Path
) -> None:
    """Leased and released, it is neither deleted nor forgotten, whatever its version is."""
    await memory.write("order-7", {"n": 1}, None)
    change(path, "UPDATE machine SET version = 0")
    with pytest.raises(UnreadableRecordError):
        await memory.acquire("order-7")
    change(path, "UPDATE machine SET version = 1 WHERE expires_at IS NULL")
    assert await memory.read("order-7") == {"n": 1}


async def test_a_damaged_file_is_a_read_failure(path: Path) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        event = question("x" * 20_000)
        [request] = await asking(memory).execute(event)
    damage(path, lambda pages: pages[:1] + [b"\xff" * len(page) for page in pages[1:]])
    async with SqliteMachineMemory.connect(path) as memory:
        with pytest.raises(TransactionViolation, match="malformed") as caught:
            await asking(memory).execute(answer_to(request))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable


def damage(path: Path, change_pages: Callable[[list[bytes]], list[bytes]]) -> None:
    connection = sqlite3.connect(path)
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    stored = path.read_bytes()
    pages = [stored[at : at + size] for at in range(0, len(stored), size)]
    path.write_bytes(b"".join(change_pages(pages)))
