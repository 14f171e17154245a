"""What a file can do wrong with reactions: plans, work, damaged rows, cancelled calls."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from arvo_event_store import (
    PER_EVENT,
    Append,
    ConflictError,
    LeaseLostError,
    NewEvent,
    SqliteEventStore,
    SqliteLog,
    StoreFailure,
    TargetKind,
    Wake,
)
from arvo_event_store._sqlite import (
    _changes,
    _claims,
    _finishes,
    _operators,
    _reactions,
    _targets,
    _windows,
)
from arvo_event_store.stores import (
    PAGE_BYTES,
    READS,
    Blocked,
    Done,
    Finish,
    Lease,
    Mark,
    Parked,
    ReactionSpec,
    Retried,
    ScanPage,
    Statement,
    Then,
    UnroutedEvent,
    Work,
    finish_row,
    scan_range,
)
from arvo_time.testing import FakeClock

ME: Final = UUID(int=1)
TTL: Final = timedelta(hours=1)
NOW: Final = datetime(2040, 1, 1, tzinfo=UTC)
STREAMS: Final = ReactionSpec(name="r", events=None, lane="l")
KINDS: Final = {
    kind.value: ReactionSpec(name=kind.value, events=("A", "B"), to=kind, lane="l")
    for kind in TargetKind
}
WAKE: Final = Wake(group="g", reaction="r", lane="l")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(path: Path, clock: FakeClock) -> AsyncIterator[SqliteEventStore]:
    async with SqliteEventStore.connect(path, synchronous="normal", clock=clock) as store:
        await store.register("g", [STREAMS])
        yield store


def change(path: Path, *statements: str) -> None:
    """Change the file from outside."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def woken(store: SqliteEventStore, *streams: str) -> None:
    """Append an event to each stream, which its target has to do."""
    await store.append_all([Append(each, [NewEvent("A", 1)], wakes=[WAKE]) for each in streams])


async def claimed(store: SqliteEventStore) -> list[Lease]:
    return await store.claim(
        "g",
        owner=ME,
        ttl=TTL,
        reactions=[STREAMS],
        lane="l",
        lagging=100,
        leading=0,
        max_events=10,
        max_bytes=10_000,
    )


async def scanned(store: SqliteEventStore, *, limit: int = 100) -> ScanPage:
    page = await store.scan("g", owner=ME, ttl=TTL, reactions=[STREAMS], limit=limit)
    assert page is not None
    return page


def done(lease: Lease, *work: Work, appends: Iterable[Append] = ()) -> Finish:
    return Finish(lease=lease, at=lease.upto, then=Done(), work=work, appends=[*appends])


async def everything(store: SqliteEventStore) -> list[tuple[Any, ...]]:
    """Return all that is stored."""
    tables = ("stream", "event", "reaction", "target", "listed", "parked")
    return [
        row
        for table in tables
        for row in await store.fetch(f"SELECT * FROM {table}")  # noqa: S608 - from above
    ]


# --- plans ------------------------------------------------------------------------


class Explaining:
    """A connection that notes the plans of its statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.plans: list[str] = []

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self._explain(sql, values)
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        given = [*rows]
        for row in given[:1]:
            self._explain(sql, row)
        return self._connection.executemany(sql, given)

    def _explain(self, sql: str, values: Any) -> None:
        rows = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        self.plans += [row[3] for row in rows]


async def plans(store: SqliteEventStore, call: Callable[[Any], object]) -> list[str]:
    def explain(connection: sqlite3.Connection, _: SqliteLog) -> list[str]:
        explaining = Explaining(connection)
        call(explaining)
        return explaining.plans

    explained = await store.write(explain)
    assert explained
    return explained


def claim_all(connection: Any) -> object:
    return _claims.claim(
        connection,
        "g",
        owner=ME,
        ttl=TTL,
        reactions=[STREAMS],
        lane="l",
        lagging=5,
        leading=5,
        now=NOW,
    )


async def test_a_claim_walks_through_targets_with_work_from_both_ends(
    store: SqliteEventStore,
) -> None:
    """And wakes those that are due, without looking at others."""
    await woken(store, "a", "b")
    explained = await plans(store, claim_all)
    on_targets = [line for line in explained if "target" in line]
    assert on_targets[0] == "SEARCH target USING INDEX target_asleep (grp=? AND lane=? AND due<?)"
    assert explained.count("SEARCH target USING INDEX target_work (grp=? AND lane=?)") == 2
    assert not [line for line in explained if "TEMP B-TREE" in line or "SCAN target" in line]


async def test_asking_for_work_looks_only_at_targets_that_have_it(store: SqliteEventStore) -> None:
    explained = await plans(
        store, lambda connection: _claims.ready(connection, "g", ["l", "m"], now=NOW)
    )
    assert [line for line in explained if "target" in line] == [
        "SEARCH target USING INDEX target_work (grp=? AND lane=?)",
        "SEARCH target USING INDEX target_asleep (grp=? AND lane=?)",
    ]


async def test_operators_look_only_at_targets_that_are_not_idle(store: SqliteEventStore) -> None:
    lag = await plans(store, lambda connection: _operators.lag(connection, "g"))
    assert [line.split(" (")[0] for line in lag if " target " in line] == [
        "SEARCH target USING INDEX target_work",
        "SEARCH target USING INDEX target_asleep",
        "SEARCH target USING INDEX target_blocked",
    ]
    calls: list[Callable[[Any], object]] = [
        lambda it: _operators.unblock(it, "g", reaction="r", key=None),
        lambda it: _operators.skip(it, "g", reaction="r", key="k"),
        *(
            lambda it, of=reaction: _targets.page_of_targets(
                it, group="g", reaction=of, blocked=True, after=("", "")
            )
            for reaction in (None, "r")
        ),
    ]
    for call in calls:
        explained = await plans(store, call)
        assert all("USING INDEX target_blocked (grp=?" in line for line in explained), explained


READ_BY: Final = {
    TargetKind.STREAM: "event USING INDEX event_stream (stream=? AND position>? AND position<?)",
    TargetKind.EVENT: "event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    TargetKind.LOG: "event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    TargetKind.KEY: "listed USING PRIMARY KEY "
    "(grp=? AND reaction=? AND key=? AND position>? AND position<?)",
}


@pytest.mark.parametrize("kind", TargetKind)
async def test_no_window_is_sorted(store: SqliteEventStore, kind: TargetKind) -> None:
    target = _claims.Claimed(kind.value, "k", READS[kind], "s", 3, 9, 1, 1, 0, 1)
    explained = await plans(
        store,
        lambda connection: _windows.leases(
            connection, "g", [target], reactions=KINDS, max_events=5, max_bytes=100
        ),
    )
    assert explained[0] == f"SEARCH {READ_BY[kind]}"
    assert not [line for line in explained if "TEMP B-TREE" in line]


async def test_no_page_of_a_scan_is_sorted(store: SqliteEventStore) -> None:
    scan = scan_range({"r": 3}, reactions=[*KINDS.values()], limit=5, leading=True)
    explained = await plans(store, lambda connection: _windows.unscanned(connection, scan))
    assert "SEARCH event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in explained
    assert not [line for line in explained if "TEMP B-TREE" in line]


async def test_leases_are_found_by_their_keys(store: SqliteEventStore) -> None:
    await woken(store, "a")
    (lease,) = await claimed(store)
    finish = _finishes.AskedFinish(row=finish_row(done(lease)), requests=(), work=())
    runner = store._file.runner
    calls: list[Callable[[Any], object]] = [
        lambda it: _claims.extend(it, [lease], ttl=TTL, now=NOW),
        lambda it: _claims.release(it, [lease]),
        lambda it: _finishes.FinishBatch([finish], runner=runner).run(it, now=NOW),
    ]
    for call in calls:
        explained = await plans(store, call)
        assert explained == ["SEARCH target USING PRIMARY KEY (grp=? AND reaction=? AND key=?)"]


# --- pages ------------------------------------------------------------------------


async def test_a_page_of_a_scan_is_cut_where_its_events_are_long(store: SqliteEventStore) -> None:
    size = PAGE_BYTES // 5
    await store.append("a", [NewEvent("A", str(number) * size) for number in range(8)])
    seen: list[int] = []
    for is_last in (False, True):
        page = await scanned(store)
        assert len(page.events) == 4
        assert page.upto == page.events[-1].position
        assert page.complete == is_last
        seen += [event.position for event in page.events]
        assert await store.mark(page, [], progress=["r"])
    assert seen == list(range(1, 9))


async def test_many_targets_and_parked_events_are_listed_in_pages(store: SqliteEventStore) -> None:
    keys = [f"{number:04}" for number in range(1_203)]
    await store.append_all([Append("a", [NewEvent("A", number) for number in range(1_203)])])
    page = await scanned(store, limit=2_000)
    marks = [
        Mark(reaction="r", key=key, lane="l", reads=TargetKind.STREAM, stream=key, at=0, mark=1)
        for key in keys
    ]
    unrouted = [
        UnroutedEvent(reaction="r", position=position, error="\ud800 é")
        for position in range(1, 1_204)
    ]
    assert await store.mark(page, marks, unrouted=unrouted, progress=["r"])
    assert [target.key async for target in store.targets("g")] == keys
    assert [target.key async for target in store.targets("g", blocked=False)] == keys
    for reaction in (None, "r"):
        parked = [event async for event in store.parked("g", reaction=reaction)]
        assert [event.position for event in parked] == list(range(1, 1_204))
        assert {event.error for event in parked} == {"\\ud800 é"}


# --- work -------------------------------------------------------------------------


@pytest.fixture
async def tables(store: SqliteEventStore) -> SqliteEventStore:
    await store.execute("CREATE TABLE own (number INTEGER PRIMARY KEY)")
    return store


async def own(store: SqliteEventStore) -> list[int]:
    return [number for (number,) in await store.fetch("SELECT number FROM own ORDER BY 1")]


def insert(number: int) -> Statement:
    return Statement("INSERT INTO own VALUES (?) RETURNING number", (number,))


async def test_work_may_be_a_function_with_the_log(tables: SqliteEventStore) -> None:
    """It sees what the work before it did, and the log what it appends."""
    await woken(tables, "a")
    (lease,) = await claimed(tables)
    heads: list[object] = []

    def work(connection: sqlite3.Connection, log: SqliteLog) -> None:
        connection.execute("INSERT INTO own SELECT number + 1 FROM own")
        log.append("out", [NewEvent("Out", 1)])
        heads.extend(head.version for head in log.heads(["out"]).values())

    finish = done(lease, insert(1), work, appends=[Append("out", [NewEvent("Out", 2)])])
    (finished,) = await tables.finish([finish])
    assert finished.error is None
    assert await own(tables) == [1, 2]
    assert heads == [0]
    assert [event.data async for event in tables.read("out")] == [1, 2]


class Overdrawn(Exception):
    pass


def overdraw(connection: sqlite3.Connection, log: SqliteLog) -> None:
    connection.execute("INSERT INTO own VALUES (7)")
    log.append("out", [NewEvent("Out", 1)])
    raise Overdrawn


def conflict(connection: sqlite3.Connection, log: SqliteLog) -> None:
    log.append("out", [NewEvent("Out", 1)], expect=9)


async def asynchronous(connection: sqlite3.Connection, log: SqliteLog) -> None:
    raise AssertionError("it must not run")


def roll_back(connection: sqlite3.Connection, log: SqliteLog) -> None:
    log.append("out", [NewEvent("Out", 1)])
    connection.execute("INSERT INTO own VALUES (8)")
    connection.execute("INSERT OR ROLLBACK INTO own VALUES (8)")


WRONG: Final[dict[str, tuple[Work, type[Exception], str]]] = {
    "raises": (overdraw, Overdrawn, ""),
    "refused": (conflict, ConflictError, "expected version 9"),
    "async": (asynchronous, TypeError, "plain function"),
    "syntax": (Statement("SELEKT 1"), StoreFailure, "syntax error"),
    "values": (Statement("INSERT INTO own VALUES (?)"), StoreFailure, "uses 1"),
    "kind": (Statement("INSERT INTO own VALUES (?)", (object(),)), StoreFailure, ""),
    "constraint": (Statement("INSERT INTO own VALUES (0)"), StoreFailure, "UNIQUE"),
    "rolled back": (roll_back, StoreFailure, "UNIQUE"),
    "commits": (Statement("COMMIT"), StoreFailure, "must not begin"),
    "events": (Statement("DELETE FROM event"), StoreFailure, "append-only"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_work_that_fails_undoes_its_finish_alone(tables: SqliteEventStore, name: str) -> None:
    """Others of the call and of the transaction are stored, each once; the lease stands."""
    work, kind, words = WRONG[name]
    await tables.execute("INSERT INTO own VALUES (0)")
    await woken(tables, "a", "b", "c")
    leases = await claimed(tables)
    append = [Append("out", [NewEvent("Out", 2)])]
    finishes = [done(lease, insert(number)) for number, lease in enumerate(leases, start=1)]
    finishes[1] = done(leases[1], insert(2), work, appends=append)
    others = asyncio.gather(*(tables.append("other", [NewEvent("A", 1)]) for _ in range(10)))
    first, second, third = await tables.finish(finishes)
    await others
    assert (first.error, third.error) == (None, None)
    assert isinstance(second.error, kind)
    assert words in str(second.error)
    assert await own(tables) == [0, 1, 3]
    assert len([event async for event in tables.read("other")]) == 10
    assert await tables.heads(["out"]) == {}
    assert await tables.extend(leases, ttl=TTL) == [leases[1]]
    assert [each.error for each in await tables.finish([done(leases[1], insert(2))])] == [None]
    assert await own(tables) == [0, 1, 2, 3]


async def test_several_finishes_whose_work_fails_hold_up_nobody(tables: SqliteEventStore) -> None:
    await tables.execute("INSERT INTO own VALUES (0)")
    await woken(tables, *"abcdef")
    leases = await claimed(tables)
    finishes = [done(lease, insert(number % 3)) for number, lease in enumerate(leases)]
    finished = await tables.finish(finishes)
    refused = [number for number, each in enumerate(finished) if each.error is not None]
    assert refused == [0, 3, 4, 5]
    assert await own(tables) == [0, 1, 2]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_work_that_ends_the_program_raises_in_the_caller(
    tables: SqliteEventStore, kind: type[BaseException]
) -> None:
    """And does not end the thread that writes; the lease stands."""
    await woken(tables, "a")
    (lease,) = await claimed(tables)

    def leave(connection: sqlite3.Connection, log: SqliteLog) -> None:
        raise kind

    try:
        await tables.finish([done(lease, insert(1), leave)])
    except BaseException as error:
        assert type(error) is kind  # noqa: PT017 - pytest.raises does not take all of them
    assert await own(tables) == []
    assert [each.error for each in await tables.finish([done(lease)])] == [None]


@contextmanager
def pragma(store: SqliteEventStore, during: str, after: str) -> Any:
    """Set a condition of the file for the writer."""
    writer = store._file._client._writer
    assert writer is not None
    writer._connection.execute(f"PRAGMA {during}").fetchall()
    yield
    writer._connection.execute(f"PRAGMA {after}").fetchall()


@pytest.mark.parametrize(
    ("during", "after"),
    [("query_only = ON", "query_only = OFF"), ("max_page_count = 1", "max_page_count = 1000000")],
)
async def test_a_file_that_cannot_be_written_is_no_failure_of_the_work(
    tables: SqliteEventStore, during: str, after: str
) -> None:
    """The call raises, so that nobody counts a try of the event; later it is done."""
    await woken(tables, "a", "b")
    leases = await claimed(tables)
    before = await everything(tables)
    fill = Statement("INSERT INTO own SELECT value FROM json_each(?)", (str(list(range(9_999))),))
    finishes = [done(leases[0]), done(leases[1], fill)]
    with pragma(tables, during, after), pytest.raises(StoreFailure) as caught:
        await tables.finish(finishes)
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
    assert await everything(tables) == before
    assert [each.error for each in await tables.finish(finishes)] == [None, None]


async def test_wrong_work_is_refused_at_the_call(tables: SqliteEventStore) -> None:
    await woken(tables, "a")
    (lease,) = await claimed(tables)
    wrong: Any
    for wrong in (7, "INSERT INTO own VALUES (1)", None):
        with pytest.raises(TypeError, match="work must be a Statement or a plain function"):
            await tables.finish([done(lease, wrong)])


async def test_a_message_that_no_table_can_hold_is_kept_as_far_as_it_can(
    store: SqliteEventStore,
) -> None:
    """Or an error with a lone surrogate would never be recorded."""
    await woken(store, "a", "b", "c")
    thens: list[Then] = [
        Retried(error="\ud800\0é", position=1, failed=1, after=timedelta(0)),
        Blocked(error="\ud800\0é", position=2, failed=1),
        Parked(error="\ud800\0é", position=3, failed=1),
    ]
    finishes = [
        Finish(lease=lease, at=lease.at, then=then)
        for lease, then in zip(await claimed(store), thens, strict=True)
    ]
    assert [each.error for each in await store.finish(finishes)] == [None] * 3
    assert {target.error async for target in store.targets("g")} == {"\\ud800\\0é"}
    assert [event.error async for event in store.parked("g")] == ["\\ud800\\0é"]


# --- errors of the driver -----------------------------------------------------------


async def test_an_error_of_the_driver_is_a_store_failure_of_every_call(
    store: SqliteEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await woken(store, "a")
    page = await scanned(store)
    (lease,) = await claimed(store)
    await store.release([lease])
    calls: list[tuple[object, str, Callable[[], Awaitable[object]]]] = [
        (_reactions, "register", lambda: store.register("g", [STREAMS])),
        (_reactions, "lease_scan", lambda: scanned(store)),
        (_windows, "unscanned", lambda: scanned(store)),
        (_reactions, "mark", lambda: store.mark(page, [], progress=["r"])),
        (_reactions, "leave", lambda: store.leave("g", owner=ME)),
        (_claims, "ready", lambda: store.ready("g", lanes=["l"])),
        (_claims, "claim", lambda: claimed(store)),
        (_windows, "leases", lambda: claimed(store)),
        (_claims, "extend", lambda: store.extend([lease], ttl=TTL)),
        (_claims, "release", lambda: store.release([lease])),
        (_finishes.FinishBatch, "run", lambda: store.finish([done(lease)])),
        (_targets, "page_of_targets", lambda: anext(store.targets("g"))),
        (_operators, "lag", lambda: store.lag("g")),
        (_operators, "unblock", lambda: store.unblock("g", reaction="r")),
        (_operators, "skip", lambda: store.skip("g", reaction="r", key="a")),
        (_operators, "reset", lambda: store.reset("g", reaction="r", after=0)),
        (_operators, "page_of_parked", lambda: anext(store.parked("g"))),
        (_operators, "replay", lambda: store.replay("g", [])),
        (_changes, "state_of", lambda: store.wait_for_change(seen=store.changes, at_most=TTL)),
    ]
    for error in (
        sqlite3.OperationalError("as SQLite says it"),
        sqlite3.Warning("odd"),
        KeyError(),
    ):
        await store.reset("g", reaction="r", after=0)
        await woken(store, "a")
        for place, name, call in calls:
            with monkeypatch.context() as patched:
                patched.setattr(place, name, raising(error))
                with pytest.raises(StoreFailure) as caught:
                    await call()
            assert caught.value.__cause__ is error
            assert caught.value.outcome == "failed"
    await store.reset("g", reaction="r", after=0)
    await woken(store, "a")
    assert len(await claimed(store)) == 1


def raising(error: Exception) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


# --- damaged rows -------------------------------------------------------------------

DAMAGE: Final = {
    "UPDATE reaction SET definition = '{'": "the definition of reaction 'r' .*is damaged",
    "UPDATE reaction SET definition = '[]'": "the definition of reaction 'r' .*is damaged",
    "UPDATE reaction SET definition = '7'": "the definition of reaction 'r' .*is damaged",
    "UPDATE target SET reads = 7": "what target '.' reads is damaged",
    "UPDATE target SET lease_until = 9223372036854775807": "the time 9223372036854775807",
    "UPDATE parked SET parked_at = 9223372036854775807": "the time 9223372036854775807",
    "UPDATE target SET key = CAST(x'ff' AS TEXT) WHERE key = 'b'": "a stored string is not UTF-8",
}


@pytest.mark.parametrize("statement", DAMAGE)
async def test_a_damaged_row_is_a_failure_that_names_it(
    path: Path, store: SqliteEventStore, statement: str
) -> None:
    await woken(store, "a", "b")
    lease, _ = await claimed(store)
    parked = Parked(error="x", position=lease.upto, failed=1)
    await store.finish([Finish(lease=lease, at=lease.at, then=parked)])
    await woken(store, "a")
    events = [event async for event in store.parked("g")]
    change(path, "DROP TRIGGER event_no_update", statement)
    failed = 0
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.register("g", [STREAMS]),
        lambda: scanned(store),
        lambda: claimed(store),
        lambda: store.lag("g"),
        lambda: anext(store.targets("g")),
        lambda: anext(store.parked("g")),
        lambda: store.replay("g", events),
        lambda: store.reset("g", reaction="r", after=0),
    ]
    for call in calls:
        (error,) = await asyncio.gather(call(), return_exceptions=True)
        if isinstance(error, StoreFailure):
            failed += 1
            assert re.search(DAMAGE[statement], str(error))
            assert (error.retryable, error.outcome) == (False, "failed")
        else:
            assert not isinstance(error, Exception)
    assert failed


# --- cancelled calls ----------------------------------------------------------------


async def cancelled(call: Callable[[], Awaitable[object]], *, turns: int) -> bool:
    """Cancel a call after some turns of the loop, and return whether that was in time."""
    task = asyncio.ensure_future(call())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def test_a_claim_may_be_cancelled_at_every_await(store: SqliteEventStore) -> None:
    """What it had claimed by then is given back, and no attempt is counted."""
    await woken(store, "a", "b")
    others = asyncio.all_tasks()
    count = 0
    for turns in range(16):
        if await cancelled(lambda: claimed(store), turns=turns):
            count += 1
            while left := asyncio.all_tasks() - others:
                await asyncio.wait(left)
            found = [target async for target in store.targets("g")]
            assert [target.attempt for target in found] == [0, 0]
            assert [target.leased_until for target in found] == [None, None]
        else:
            leases = [each async for each in store.targets("g") if each.leased_until is not None]
            assert len(leases) == 2
            await store.reset("g", reaction="r", after=0)
            await woken(store, "a", "b")
    assert count
    assert len(await claimed(store)) == 2


async def test_a_finish_may_be_cancelled_at_every_await(tables: SqliteEventStore) -> None:
    """It is stored wholly or not at all."""
    count = 0
    for turns in range(12):
        await woken(tables, "a")
        (lease,) = await claimed(tables)
        finish = done(lease, insert(turns), appends=[Append("out", [NewEvent("Out", turns)])])
        count += await cancelled(partial(tables.finish, [finish]), turns=turns)
        await tables.write(lambda connection, log: None)  # after what was begun
        stored = turns in await own(tables)
        assert (turns in [event.data async for event in tables.read("out")]) == stored
        (target,) = [each async for each in tables.targets("g")]
        assert (target.at == lease.upto) == stored
        (again,) = await tables.finish([done(lease)])
        assert isinstance(again.error, LeaseLostError) == stored
    assert count


async def test_every_other_call_may_be_cancelled_at_every_await(store: SqliteEventStore) -> None:
    await woken(store, "a", "b")
    page = await scanned(store)
    leases = await claimed(store)
    mark = Mark(reaction="r", key="m", lane="l", reads=PER_EVENT, stream="a", at=0, mark=1)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.register("g", [STREAMS]),
        lambda: scanned(store),
        lambda: store.mark(page, [mark], progress=["r"]),
        lambda: store.ready("g", lanes=["l"]),
        lambda: store.extend(leases, ttl=TTL),
        lambda: store.release(leases),
        lambda: store.lag("g"),
        lambda: anext(store.targets("g")),
        lambda: store.unblock("g", reaction="r"),
        lambda: store.skip("g", reaction="r", key="a"),
        lambda: store.wait_for_change(seen=store.changes, at_most=TTL),
        lambda: store.leave("g", owner=ME),
        lambda: store.reset("g", reaction="r", after=0),
    ]
    others = asyncio.all_tasks()
    for call in calls:
        assert any([await cancelled(call, turns=turns) for turns in range(8)])
    assert asyncio.all_tasks() == others
    assert (await scanned(store)).complete


async def test_names_that_look_like_sql_are_names(store: SqliteEventStore) -> None:
    """And numbers that SQLite cannot store are no bound."""
    name = "'; DROP TABLE target; --"
    spec = ReactionSpec(name=name, events=(name,), lane=name, stream_prefix=name)
    await store.register(name, [spec])
    wake = Wake(group=name, reaction=name, lane=name)
    await store.append_all([Append(name, [NewEvent(name, 1)], wakes=[wake])])
    assert (await store.ready(name, lanes=[name, "%"])).lanes == {name}
    (lease,) = await store.claim(
        name,
        owner=ME,
        ttl=TTL,
        reactions=[spec],
        lane=name,
        lagging=0,
        leading=2**70,
        max_events=2**70,
        max_bytes=2**70,
    )
    assert [event.name for event in lease.events] == [name]
    blocked = Blocked(error=name, position=lease.upto, failed=1)
    await store.finish([Finish(lease=lease, at=lease.at, then=blocked)])
    assert await store.unblock(name, reaction=name, key=name) == 1
