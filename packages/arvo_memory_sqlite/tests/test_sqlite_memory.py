"""What only this memory promises: queries, group commits and closing."""

import asyncio
import gc
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import LockPolicy, MachineLease, Record, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_memory_sqlite._schema import MACHINE
from arvo_sqlite import SqliteClient
from arvo_time.testing import FakeClock

from .inside import writer_of

QUICK = LockPolicy(max_wait=timedelta(0))
HOUR = timedelta(hours=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def memory(path: Path, clock: FakeClock) -> AsyncIterator[SqliteMachineMemory]:
    async with SqliteMachineMemory.connect(path, policy=QUICK, clock=clock) as memory:
        yield memory


async def granted(memory: SqliteMachineMemory, machine_id: str) -> MachineLease:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    return lease


async def commit(
    memory: SqliteMachineMemory,
    machine_id: str,
    record: Record,
    *,
    expires_in: timedelta | None = None,
) -> None:
    await memory.commit(
        await granted(memory, machine_id), record_write(record, expires_in=expires_in)
    )


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM machine").fetchone()
    connection.close()
    assert isinstance(count, int)
    return count


# --- queries of operators ----------------------------------------------------


async def tree(memory: SqliteMachineMemory, root: str) -> list[str]:
    page = await memory.workflows(WorkflowQuery(root=root), oldest_first=True)
    return [each.subject for each in page.workflows]


async def test_the_root_of_a_workflow_stays_when_workflows_between_are_forgotten(
    memory: SqliteMachineMemory,
) -> None:
    await commit(memory, "top", {"parentSubject": None})
    await commit(memory, "child", {"parentSubject": "top"})
    await commit(memory, "grandchild", {"parentSubject": "child"})
    await commit(memory, "other", {"parentSubject": "child"})
    assert await memory.cleanup("child")
    await commit(memory, "grandchild", {"parentSubject": "child"})
    await memory.write("other", {"parentSubject": "child", "n": 1}, {"parentSubject": "child"})
    assert await tree(memory, "top") == ["top", "grandchild", "other"]


async def test_the_root_of_a_workflow_is_found_when_workflows_between_are_written_later(
    memory: SqliteMachineMemory,
) -> None:
    """This happens when records are imported in any order."""
    await commit(memory, "grandchild", {"parentSubject": "child"})
    await commit(memory, "child", {"parentSubject": "top"})
    await commit(memory, "grandchild", {"parentSubject": "child"})
    assert await tree(memory, "top") == ["grandchild", "child"]


async def test_cleanup_forgets_immediately(memory: SqliteMachineMemory) -> None:
    await commit(memory, "order-7", {"count": 1})
    lease = await granted(memory, "order-7")
    assert await memory.cleanup("order-7") is True
    assert await memory.cleanup("order-7") is False
    assert await memory.read("order-7") is None
    with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
        await memory.commit(lease, record_write({"count": 2}))
    assert (await granted(memory, "order-7")).version == 0


# --- forgetting ---------------------------------------------------------------


async def test_expired_workflows_are_deleted_by_later_writes(
    memory: SqliteMachineMemory, clock: FakeClock, path: Path
) -> None:
    for number in range(100):
        await commit(memory, f"done-{number}", {"status": "done"}, expires_in=HOUR)
    clock.advance(HOUR)
    assert (await memory.workflows(WorkflowQuery())).workflows == ()
    assert rows(path) == 100
    for number in range(10):
        await memory.write(f"order-{number}", {}, None)
    assert rows(path) == 10


async def test_a_lease_on_a_workflow_that_is_never_written_leaves_no_row(
    memory: SqliteMachineMemory, clock: FakeClock, path: Path
) -> None:
    await memory.release(await granted(memory, "released"))
    assert rows(path) == 0
    await memory.acquire("holder died")
    assert rows(path) == 1
    clock.advance(2 * memory.policy.max_hold)
    await memory.write("order-7", {}, None)
    assert rows(path) == 1


async def test_an_expired_workflow_that_is_leased_is_not_deleted(
    memory: SqliteMachineMemory, clock: FakeClock
) -> None:
    await commit(memory, "order-7", {"status": "done"}, expires_in=timedelta(seconds=10))
    lease = await granted(memory, "order-7")
    clock.advance(timedelta(seconds=10))
    await memory.write("order-8", {}, None)
    assert await memory.renew(lease), "its row is there, and the lease in it"
    with pytest.raises(TransactionViolation):
        await memory.commit(lease, record_write({"status": "again"}))
    assert await memory.read("order-7") is None


# --- handing over -------------------------------------------------------------


async def test_a_waiter_in_the_same_process_is_woken_immediately(
    path: Path, clock: FakeClock
) -> None:
    """The clock stands still, so no pause between two tries can end."""
    policy = LockPolicy(initial_delay=HOUR, max_delay=HOUR, max_wait=HOUR, ttl=HOUR, max_hold=HOUR)
    async with SqliteMachineMemory.connect(path, policy=policy, clock=clock) as memory:
        lease = await granted(memory, "order-7")
        waiters = [asyncio.create_task(granted(memory, "order-7")) for _ in range(5)]
        for _ in range(5):
            await memory.commit(lease, record_write({}))
            done, left = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            [first] = done
            lease, waiters = first.result(), list(left)
        assert lease.version == 5


# --- groups -------------------------------------------------------------------


async def in_one_group(memory: SqliteMachineMemory, *calls: asyncio.Task[object]) -> list[object]:
    """Keep the writer busy until all calls are in its queue."""
    started, go_on = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(10)

    held = writer_of(memory).submit(hold, durable=False)
    # Not in a thread of asyncio's: the loop must not turn before the writer is held.
    assert started.wait(10)
    for _ in range(3):
        await asyncio.sleep(0)
    go_on.set()
    await held
    return await asyncio.gather(*calls, return_exceptions=True)


def count_commits(memory: SqliteMachineMemory) -> list[str]:
    seen: list[str] = []
    writer_of(memory)._connection.set_trace_callback(
        lambda statement: seen.append(statement) if statement == "COMMIT" else None
    )
    return seen


async def test_queued_calls_are_written_in_one_transaction(
    memory: SqliteMachineMemory, path: Path
) -> None:
    commits = count_commits(memory)
    calls = [asyncio.create_task(memory.write(f"order-{n}", {}, None)) for n in range(50)]
    assert await in_one_group(memory, *calls) == [None] * 50
    assert len(commits) == 2  # of what kept the writer busy, and theirs
    assert rows(path) == 50


async def test_a_refused_write_does_not_affect_others_of_its_transaction(
    memory: SqliteMachineMemory, path: Path
) -> None:
    lease = await granted(memory, "order-2")
    await memory.write("order-2", {"by": "other"}, None)
    calls = [
        asyncio.create_task(memory.write("order-1", {"n": 1}, None)),
        asyncio.create_task(memory.commit(lease, record_write({"n": 2}))),
        asyncio.create_task(memory.write("order-3", {"n": 3}, {"n": 0})),
        asyncio.create_task(memory.write("order-4", {"n": 4}, None)),
    ]
    first, second, third, fourth = await in_one_group(memory, *calls)
    assert (first, fourth) == (None, None)
    assert isinstance(second, TransactionViolation)
    assert isinstance(third, TransactionViolation)
    assert await memory.read("order-2") == {"by": "other"}
    assert [await memory.read(f"order-{n}") for n in (1, 3, 4)] == [{"n": 1}, None, {"n": 4}]


async def test_only_the_write_that_fails_is_rolled_back(
    memory: SqliteMachineMemory, path: Path
) -> None:
    """SQLite aborts it: everything is rolled back and the other writes are made again."""

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM machine")
        connection.execute("INSERT INTO machine (id) VALUES (NULL)")

    calls: list[asyncio.Task[object]] = [
        asyncio.create_task(memory.write("order-1", {"n": 1}, None)),
        asyncio.create_task(memory._write("FAIL", fail)),
        asyncio.create_task(memory.write("order-2", {"n": 2}, None)),
    ]
    first, failed, last = await in_one_group(memory, *calls)
    assert (first, last) == (None, None)
    assert isinstance(failed, MachineMemoryError)
    assert (failed.retryable, failed.outcome) == (True, "failed")
    assert [await memory.read(f"order-{n}") for n in (1, 2)] == [{"n": 1}, {"n": 2}]


async def test_a_write_whose_transaction_failed_to_commit_may_have_happened(
    memory: SqliteMachineMemory,
) -> None:
    """Even if the next try, of each write by itself, does not get as far."""

    def refuse(action: int, what: str | None, *_: object) -> int:
        refused = action == sqlite3.SQLITE_TRANSACTION and what in {"BEGIN", "COMMIT"}
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    calls: list[asyncio.Task[object]] = [
        asyncio.create_task(memory.write("order-7", {}, None)),
        asyncio.create_task(
            memory._write("REFUSE", lambda connection: connection.set_authorizer(refuse))
        ),
    ]
    for outcome in await in_one_group(memory, *calls):
        assert isinstance(outcome, MachineMemoryError)
        assert outcome.outcome == "unknown"
    with pytest.raises(MachineMemoryError) as caught:
        await memory.write("order-7", {}, None)
    assert caught.value.outcome == "failed"
    writer_of(memory)._connection.set_authorizer(None)
    await memory.write("order-7", {}, None)


# --- errors and closing -------------------------------------------------------


async def test_a_value_that_cannot_be_stored_is_refused_without_quoting_it(
    memory: SqliteMachineMemory,
) -> None:
    for call in (memory.read("\ud800secret"), memory.write("\ud800secret", {}, None)):
        with pytest.raises(MachineMemoryError) as caught:
            await call
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        assert "secret" not in str(caught.value)


async def test_a_damaged_record_is_reported_and_leaves_no_lease(
    memory: SqliteMachineMemory, path: Path
) -> None:
    await memory.write("order-7", {}, None)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE machine SET codec = 'zlib'")
    connection.commit()
    for _ in range(2):
        with pytest.raises(MachineMemoryError, match="cannot be decompressed"):
            await memory.acquire("order-7")
    assert connection.execute("SELECT owner FROM machine").fetchall() == [(None,)]
    connection.close()


async def test_closing_waits_for_pending_calls(path: Path) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        writes = [asyncio.create_task(memory.write(f"order-{n}", {}, None)) for n in range(100)]
        await asyncio.sleep(0)
    assert [write.exception() for write in writes if write.done()] == [None] * 100
    assert rows(path) == 100


async def test_closing_gives_back_what_a_cancelled_task_had_taken(path: Path) -> None:
    for turns in range(8):
        async with SqliteMachineMemory.connect(path) as memory:
            taking = asyncio.create_task(memory.acquire("order-7"))
            for _ in range(turns):
                await asyncio.sleep(0)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            if not taking.cancelled() and (lease := taking.result()) is not None:
                await memory.release(lease)
        async with SqliteMachineMemory.connect(path) as memory:
            lease = await memory.acquire("order-7")
            assert lease is not None, f"cancelled after {turns} turns, it stayed taken"
            await memory.release(lease)


async def test_closing_goes_on_when_it_is_cancelled(path: Path) -> None:
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {}, None)
        closing = asyncio.create_task(memory.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await memory.aclose()
    assert not writer_of(memory)._thread.is_alive()
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


async def test_a_client_that_was_passed_in_stays_open() -> None:
    async with SqliteClient.connect(":memory:", components=[MACHINE]) as client:
        memory, other = SqliteMachineMemory(client), SqliteMachineMemory(client)
        taking = asyncio.create_task(memory.acquire("order-7"))
        await asyncio.sleep(0)
        taking.cancel()
        await memory.aclose()
        assert taking.cancelled()
        await memory.aclose()
        with pytest.raises(MachineMemoryError, match="memory was closed"):
            await memory.read("order-7")
        assert await other.acquire("order-7") is not None, "closing gave the lease back"


async def test_a_client_forgets_a_closed_memory() -> None:
    async with SqliteClient.connect(":memory:", components=[MACHINE]) as client:
        other = SqliteMachineMemory(client)
        memory = SqliteMachineMemory(client)
        forgotten = weakref.ref(memory)
        await memory.write("order-7", {}, None)
        await memory.aclose()
        del memory
        await other.write("order-8", {}, None)  # the thread drops the last operation
        gc.collect()
        assert forgotten() is None


async def test_a_client_waits_for_a_memory_whose_closing_was_cancelled() -> None:
    async with SqliteClient.connect(":memory:", components=[MACHINE]) as client:
        memory = SqliteMachineMemory(client)
        memory._takes.add(take := object())
        closing = asyncio.create_task(memory.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        closed = asyncio.create_task(client.aclose())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not closed.done()
        memory._settle(take)
        await closed


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("max_record_bytes", 0, ValueError), ("clock", 7, TypeError)],
)
async def test_a_wrong_setting_is_refused_by_name(
    path: Path, name: str, value: object, kind: type[Exception]
) -> None:
    options: dict[str, Any] = {name: value}
    async with SqliteClient.connect(":memory:", components=[MACHINE]) as client:
        with pytest.raises(kind, match=f"{name} must be"):
            SqliteMachineMemory(client, **options)
    with pytest.raises(kind, match=f"{name} must be"):
        async with SqliteMachineMemory.connect(path, **options):
            raise AssertionError("it must not open")
    assert [*path.parent.iterdir()] == []


async def test_calls_from_another_event_loop_are_refused_before_anything_happens(
    memory: SqliteMachineMemory,
) -> None:
    lease = await granted(memory, "order-7")
    for call in (
        memory.commit(lease, record_write({})),
        memory.release(lease),
        memory.acquire("order-8"),
        memory.read("order-7"),
        memory.cleanup("order-7"),
    ):
        with pytest.raises(MachineMemoryError, match="opened on another event loop") as caught:
            await asyncio.to_thread(asyncio.run, call)
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
    await memory.commit(lease, record_write({"count": 1}))
    await granted(memory, "order-8")


async def test_a_dead_writer_fails_all_calls(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def die(connection: sqlite3.Connection) -> None:
        raise SystemExit("dead")

    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("order-7", {"count": 1}, None)
        calls: list[asyncio.Task[object]] = [
            asyncio.create_task(memory.write("order-8", {}, None)),
            asyncio.create_task(memory._write("DIE", die)),
        ]
        for outcome in await in_one_group(memory, *calls):
            assert isinstance(outcome, MachineMemoryError)
            assert outcome.outcome == "unknown"
        with pytest.raises(MachineMemoryError, match=r"has died of SystemExit.*open") as caught:
            await memory.write("order-9", {}, None)
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        assert await memory.read("order-7") == {"count": 1}
    assert "the writer of" in caplog.text
    assert rows(path) == 1
