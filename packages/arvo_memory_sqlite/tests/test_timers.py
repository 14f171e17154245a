"""What the suite cannot see of timers: the index, the file before, and processes that are killed."""

import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import UNCHANGED, DueMachine, NextTimer, Unchanged
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory, _schema, _timers
from arvo_sqlite import SqliteClient
from arvo_time.testing import FakeClock

from .inside import writer_of
from .test_processes import output, start
from .test_suites import ClockAhead

PAST = datetime(2020, 1, 1, tzinfo=UTC)
HOLD = timedelta(hours=1)
IS_FULL = os.environ.get("ARVO_FULL") == "1"
TIMERS, PROCESSES = (1000, 8) if IS_FULL else (100, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> ClockAhead:
    return ClockAhead()


@pytest.fixture
async def memory(path: Path, clock: ClockAhead) -> AsyncIterator[SqliteMachineMemory]:
    connecting = SqliteMachineMemory.connect(path, synchronous="normal", clock=clock)
    async with connecting as memory:
        yield memory


async def commit(
    memory: SqliteMachineMemory,
    machine_id: str,
    timer: NextTimer | Unchanged | None,
    *,
    expires_in: timedelta | None = None,
) -> None:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    await memory.commit(lease, record_write({}, timer=timer, expires_in=expires_in))


def timer(number: int = 0) -> NextTimer:
    return NextTimer(at=PAST + timedelta(milliseconds=number), key=f"remind#{number}")


def entries(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM due").fetchone()
        return int(count)


# --- what is looked at ---------------------------------------------------------


@pytest.mark.parametrize("sql", [_timers.CLAIMABLE, _timers.NEXT], ids=["claim", "next"])
async def test_what_is_due_is_found_along_its_index(
    memory: SqliteMachineMemory, path: Path, sql: str
) -> None:
    await commit(memory, "order-7", timer())
    with closing(sqlite3.connect(path)) as connection:
        values = {"now": 1, "limit": 1}
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    due, machine = plan
    assert "due USING" in due
    assert "INDEX due_ready_at" in due
    assert machine == "SEARCH machine USING INTEGER PRIMARY KEY (rowid=?)"


_FILL_MACHINES = """
    WITH RECURSIVE each(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < :pending)
    INSERT INTO machine (id, version, created_at, updated_at)
    SELECT 'order-' || n, 1, 0, 0 FROM each
"""
_FILL_TIMERS = """
    INSERT INTO due SELECT seq, seq, 'remind#1',
        CASE WHEN seq BETWEEN :claimed + 1 AND :claimed + 10 THEN seq ELSE seq + 1000000 END,
        seq <= :claimed
    FROM machine WHERE :pending
"""


@contextmanager
def filled(pending: int, *, claimed: int) -> Iterator[sqlite3.Connection]:
    """Make tables with timers of which the earliest are claimed, and ten are due."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in _schema.MACHINE.migrations:
            for step in migration:
                if isinstance(step, str):
                    connection.execute(step)
                else:
                    step(connection)
        values = {"pending": pending, "claimed": claimed}
        connection.execute(_FILL_MACHINES, values)
        connection.execute(_FILL_TIMERS, values)
        yield connection


def steps_of(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], object]) -> int:
    """Return how many steps of its machine SQLite takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 1)
    work(connection)
    connection.set_progress_handler(None, 0)
    return steps


def claim(connection: sqlite3.Connection) -> list[DueMachine]:
    return _timers.claim(connection, limit=100, hold=HOLD, now=datetime.fromtimestamp(500, UTC))


def next_due(connection: sqlite3.Connection) -> datetime | None:
    return _timers.next_due(connection, now=datetime.fromtimestamp(500, UTC))


@pytest.mark.parametrize("work", [claim, next_due], ids=["claim", "next"])
def test_neither_what_is_pending_nor_what_is_claimed_is_looked_at(
    work: Callable[[sqlite3.Connection], object],
) -> None:
    """Ten timers are due both times."""
    with filled(10, claimed=0) as connection:
        few = steps_of(connection, work)
    with filled(20_000, claimed=8_000) as connection:
        many = steps_of(connection, work)
        assert not claim(connection) or work is next_due
    assert 10 < many < few * 1.2


@pytest.mark.parametrize(
    ("moved", "touches"),
    [(UNCHANGED, False), (None, True), (timer(1), True)],
    ids=["unchanged", "none", "new"],
)
async def test_a_step_beside_its_timer_does_not_touch_the_index(
    memory: SqliteMachineMemory, moved: NextTimer | Unchanged | None, *, touches: bool
) -> None:
    await commit(memory, "order-7", timer())
    lease = await memory.acquire("order-7")
    assert lease is not None
    asked: list[str] = []

    def trace(callback: Callable[[str], object] | None) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: connection.set_trace_callback(callback)

    await writer_of(memory).submit(trace(asked.append), durable=True)
    await memory.commit(lease, record_write({"step": 2}, timer=moved))
    await writer_of(memory).submit(trace(None), durable=True)
    assert any("UPDATE machine" in statement for statement in asked)
    assert any(re.search("(INTO|FROM) due", each) for each in asked) is touches


# --- what deletes workflows ----------------------------------------------------


async def test_whatever_deletes_a_row_deletes_its_timer(
    memory: SqliteMachineMemory, path: Path, clock: ClockAhead
) -> None:
    """Expiry in the background, `cleanup`, and a deletion by hand."""
    await commit(memory, "expires", timer(), expires_in=timedelta(minutes=1))
    for machine_id in ["cleaned", "by hand", "stays"]:
        await commit(memory, machine_id, timer())
    assert entries(path) == 4
    await clock.jump(timedelta(minutes=2))
    # A write purges what has expired.
    await memory.write("other", {}, None)
    assert entries(path) == 3
    await memory.cleanup("cleaned")
    assert entries(path) == 2
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM machine WHERE id = 'by hand'")
        connection.commit()
    assert entries(path) == 1
    (due,) = await memory.claim_due(limit=10, hold=HOLD)
    assert due.machine_id == "stays"


async def test_a_workflow_that_is_overwritten_when_it_has_expired_has_no_timer(
    memory: SqliteMachineMemory, path: Path, clock: ClockAhead
) -> None:
    """A bare write takes its row over."""
    await commit(memory, "order-7", timer(), expires_in=timedelta(minutes=1))
    await clock.jump(timedelta(minutes=2))
    await memory.write("order-7", {}, None)
    assert entries(path) == 0
    assert await memory.next_due() is None


# --- the clock -----------------------------------------------------------------


async def test_a_timer_is_not_due_before_its_millisecond() -> None:
    """Whatever the clock says below a millisecond."""
    clock = FakeClock(start=PAST - timedelta(microseconds=400))
    async with SqliteMachineMemory.connect(":memory:", clock=clock) as memory:
        await commit(memory, "order-7", timer())
        assert await memory.claim_due(limit=1, hold=HOLD) == []
        clock.advance(timedelta(microseconds=400))
        (due,) = await memory.claim_due(limit=1, hold=HOLD)
        assert due.at == due.due_by == PAST


# --- the schema ----------------------------------------------------------------

BEFORE = replace(_schema.MACHINE, migrations=_schema.MACHINE.migrations[:4])


@pytest.fixture
async def version_4(path: Path) -> Path:
    """Return a file of the version before timers, with a workflow that has a chunk."""
    async with SqliteClient.connect(path, components=[BEFORE]) as client:

        def fill(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO machine (id, version, status, created_at, updated_at, codec, state, "
                "last_chunk) VALUES ('order-7', 1, 'active', 1, 1, 'json', ?, 1)",
                (b'{"count":1}',),
            )
            connection.execute("INSERT INTO chunk VALUES (1, 1, ?, NULL)", (b"p1",))

        await client.write(fill, name="FILL", collection="machine")
    return path


async def test_a_file_of_the_version_before_gets_its_index(version_4: Path) -> None:
    async with SqliteMachineMemory.connect(version_4) as memory:
        assert await memory.next_due() is None
        lease = await memory.acquire("order-7")
        assert lease is not None
        assert (lease.version, lease.record, len(lease.chunks)) == (1, {"count": 1}, 1)
        await memory.commit(lease, record_write({"count": 2}, timer=timer()))
        assert await memory.next_due() == PAST
        await memory.cleanup("order-7")
    assert entries(version_4) == 0
    with closing(sqlite3.connect(version_4)) as connection:
        assert connection.execute("SELECT count(*) FROM chunk").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)


async def test_a_read_only_memory_says_what_is_due_and_claims_nothing(
    memory: SqliteMachineMemory, path: Path
) -> None:
    await commit(memory, "order-7", timer())
    async with SqliteMachineMemory.connect(path, read_only=True) as reader:
        assert await reader.next_due() == PAST
        with pytest.raises(MachineMemoryError, match="read-only"):
            await reader.claim_due(limit=1, hold=HOLD)
    assert len(await memory.claim_due(limit=1, hold=HOLD)) == 1


# --- processes -----------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.timeout(120)
async def test_processes_claim_each_timer_once(
    memory: SqliteMachineMemory, path: Path, clock: ClockAhead
) -> None:
    """One is killed at a random moment. What was claimed and not committed comes back after the hold."""
    for number in range(TIMERS):
        await commit(memory, f"order-{number}", timer(number))
    claimers = [start("claim", path, limit) for limit in range(1, PROCESSES + 1)]
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    with claimers[0] as victim:
        assert victim.stdout is not None
        said = [victim.stdout.readline() for _ in range(Random(7).randrange(1, 20))]
        victim.kill()
        said += victim.stdout
    for claimer in claimers[1:]:
        said += output(claimer)
    claims = [line.split() for line in said if line.startswith("order-")]
    once = {machine_id for machine_id, *claims in claims if claims == ["1"]}
    # The one that was killed claimed one at a time, and may not have said the last one.
    assert TIMERS - 1 <= len(once) <= len(claims) <= TIMERS
    assert await memory.claim_due(limit=TIMERS, hold=HOLD) == []
    await clock.jump(HOLD * 0.9)
    assert await memory.claim_due(limit=TIMERS, hold=HOLD) == []
    await clock.jump(HOLD * 0.2)
    again = await memory.claim_due(limit=TIMERS, hold=HOLD)
    assert [due.machine_id for due in again] == [f"order-{number}" for number in range(TIMERS)]
    assert {due.claims for due in again} == {2}
