"""How a store in a file hears of changes: its own, and those that others commit."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from arvo_event_store import (
    PER_STREAM,
    Append,
    IWakeUps,
    NewEvent,
    SqliteEventStore,
    StoreFailure,
    Wake,
)
from arvo_event_store._sqlite._changes import FileChanges, State
from arvo_event_store.stores import (
    Blocked,
    Done,
    Finish,
    Lease,
    Mark,
    Parked,
    ReactionSpec,
)
from arvo_sqlite import _readers
from arvo_time.testing import FakeClock

ME: Final = UUID(int=1)
TTL: Final = timedelta(hours=1)
LOOK: Final = timedelta(milliseconds=25)
SPEC: Final = ReactionSpec(name="r", events=None, lane="l")
WAKE: Final = Wake(group="g", reaction="r", lane="l")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def store(path: Path, clock: FakeClock) -> AsyncIterator[SqliteEventStore]:
    async with SqliteEventStore.connect(path, synchronous="normal", clock=clock) as store:
        await store.register("g", [SPEC])
        yield store


@pytest.fixture
async def other(path: Path, store: SqliteEventStore) -> AsyncIterator[SqliteEventStore]:
    """Return a store with connections of its own, as another process has it."""
    async with SqliteEventStore.connect(path, synchronous="normal", clock=FakeClock()) as other:
        yield other


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """Return what was seen by looking, as it grows."""
    seen: list[State] = []
    look = FileChanges.look

    def noting(changes: FileChanges, connection: sqlite3.Connection) -> State:
        seen.append(look(changes, connection))
        return seen[-1]

    monkeypatch.setattr(FileChanges, "look", noting)
    return seen


async def begun(
    store: SqliteEventStore, clock: FakeClock, *, at_most: timedelta = TTL
) -> asyncio.Task[bool]:
    """Return a wait that has looked once, and rests."""
    waiting = asyncio.create_task(store.wait_for_change(seen=store.changes, at_most=at_most))
    await at_rest(clock)
    return waiting


async def at_rest(clock: FakeClock) -> None:
    """Let a wait look, which a thread does, until it waits for the clock again."""
    while not clock.pending:
        await asyncio.to_thread(lambda: None)


async def append(store: SqliteEventStore) -> None:
    await store.append_all([Append("c", [NewEvent("Added", 1)], wakes=[WAKE])])


async def write(store: SqliteEventStore) -> None:
    await store.write(lambda _, log: log.append("c", [NewEvent("Added", 1)]))


async def raise_a_mark(store: SqliteEventStore) -> None:
    page = await store.scan("g", owner=ME, ttl=TTL, reactions=[SPEC], limit=1_000)
    assert page is not None
    assert await store.mark(page, [mark("c", 9)], progress=["r"])


async def emit(store: SqliteEventStore) -> None:
    (lease,) = await claimed(store)
    outputs = [Append("out", [NewEvent("Out", 1)])]
    await store.finish([Finish(lease=lease, at=lease.upto, then=Done(), appends=outputs)])


async def emit_in_work(store: SqliteEventStore) -> None:
    (lease,) = await claimed(store)
    work = [lambda _, log: log.append("out", [NewEvent("Out", 1)])]
    await store.finish([Finish(lease=lease, at=lease.upto, then=Done(), work=work)])


async def unblock(store: SqliteEventStore) -> None:
    assert await store.unblock("g", reaction="r") == 1


async def skip(store: SqliteEventStore) -> None:
    assert await store.skip("g", reaction="r", key="a")


async def reset(store: SqliteEventStore) -> None:
    await store.reset("g", reaction="r", after=0)


async def replay(store: SqliteEventStore) -> None:
    assert await store.replay("g", [event async for event in store.parked("g")]) == 1


CHANGES: Final = [
    *(append, write, raise_a_mark, emit, emit_in_work, unblock, skip, reset, replay),
]


def mark(key: str, position: int) -> Mark:
    return Mark(
        reaction="r",
        key=key,
        lane="l",
        reads=PER_STREAM,
        stream=key,
        at=0,
        mark=position,
    )


async def claimed(store: SqliteEventStore) -> list[Lease]:
    return await store.claim(
        "g",
        owner=ME,
        ttl=TTL,
        reactions=[SPEC],
        lane="l",
        lagging=2,
        leading=0,
        max_events=10,
        max_bytes=1_000,
    )


async def parked_and_blocked(store: SqliteEventStore) -> None:
    """Leave target "a" blocked, an event of "b" parked, and one of "c" to be done."""
    for stream in ("a", "b", "c"):
        await store.append_all([Append(stream, [NewEvent("Added", 1)], wakes=[WAKE])])
    blocked, parked = await claimed(store)
    thens = (
        (blocked, Blocked(error="no", position=1, failed=3)),
        (parked, Parked(error="no", position=2, failed=3)),
    )
    await store.finish([Finish(lease=lease, at=lease.at, then=then) for lease, then in thens])


def test_it_has_wake_ups() -> None:
    wake_ups: type[IWakeUps] = SqliteEventStore
    assert wake_ups is SqliteEventStore


@pytest.mark.parametrize("change", CHANGES)
async def test_who_waits_is_told_of_changes_of_the_store(
    store: SqliteEventStore,
    clock: FakeClock,
    looks: list[State],
    change: Callable[[SqliteEventStore], Awaitable[None]],
) -> None:
    """At once, without a look at the file; the next wait is not told of it again."""
    await parked_and_blocked(store)
    waiting = await begun(store, clock)
    await change(store)
    assert await waiting is True
    assert len(looks) == 1
    again = await begun(store, clock)
    assert not again.done()
    again.cancel()
    await asyncio.wait([again])
    assert clock.pending == 0


@pytest.mark.parametrize("change", CHANGES)
async def test_who_waits_is_told_of_changes_of_others(
    store: SqliteEventStore,
    other: SqliteEventStore,
    clock: FakeClock,
    change: Callable[[SqliteEventStore], Awaitable[None]],
) -> None:
    """With the next look, and once."""
    await parked_and_blocked(store)
    waiting = await begun(store, clock)
    await change(other)
    assert not waiting.done()
    clock.advance(LOOK)
    assert await waiting is True
    again = await begun(store, clock)
    clock.advance(LOOK)
    await at_rest(clock)
    assert not again.done()
    again.cancel()
    await asyncio.wait([again])


async def test_the_first_wait_is_told_of_what_others_did_since_the_registration(
    store: SqliteEventStore, other: SqliteEventStore, clock: FakeClock
) -> None:
    await append(other)
    assert await store.wait_for_change(seen=store.changes, at_most=TTL) is True
    assert clock.pending == 0


async def test_what_brings_no_work_tells_nobody(
    store: SqliteEventStore, other: SqliteEventStore, clock: FakeClock
) -> None:
    """Or two workers would wake each other for ever by prolonging their leases."""
    await parked_and_blocked(store)
    batch = [NewEvent("Added", 1)]
    await store.append("d", batch)
    waiting = await begun(store, clock)
    seen = (store.changes, other.changes)
    for each in (store, other):
        await each.append("d", batch)
        await each.append("d", [])
        page = await each.scan("g", owner=ME, ttl=TTL, reactions=[SPEC], limit=5)
        assert page is not None
        assert await each.mark(page, [mark("c", 3)], progress=["r"])
        await each.leave("g", owner=ME)
        assert await each.unblock("g", reaction="r", key="none") == 0
        assert not await each.skip("g", reaction="r", key="none")
        assert await each.replay("g", []) == 0
        (lease,) = await claimed(each)
        await each.extend([lease], ttl=TTL)
        await each.release([lease])
        await each.write(lambda _, log: log.horizon())
        await each.execute("CREATE TABLE IF NOT EXISTS own (id)")
    clock.advance(LOOK)
    await at_rest(clock)
    assert not waiting.done()
    assert (store.changes, other.changes) == seen
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_wait_ends_after_its_time(store: SqliteEventStore, clock: FakeClock) -> None:
    waiting = await begun(store, clock, at_most=LOOK / 2)
    clock.advance(LOOK / 2)
    assert await waiting is False
    assert clock.pending == 0
    assert await store.wait_for_change(seen=store.changes, at_most=timedelta(0)) is False
    await append(store)
    assert await store.wait_for_change(seen=store.changes - 1, at_most=timedelta(0)) is True


async def test_a_file_that_nobody_writes_is_looked_at_less_often(
    path: Path, clock: FakeClock, looks: list[State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_readers, "_THREADS", 1)  # each has a connection, which notices by itself
    async with (
        SqliteEventStore.connect(path, clock=clock) as store,
        SqliteEventStore.connect(path) as other,
    ):
        waiting = await begun(store, clock)
        await looked(clock, looks, after=LOOK)
        clock.advance(timedelta(minutes=1))
        await at_rest(clock)
        await looked(clock, looks, after=LOOK * 2)
        count = len(looks)
        clock.advance(LOOK)
        assert (clock.pending, len(looks)) == (1, count), "it does not look so soon"
        await other.execute("CREATE TABLE own (id)")
        clock.advance(LOOK)
        await at_rest(clock)
        await looked(clock, looks, after=LOOK)
        waiting.cancel()
        await asyncio.wait([waiting])


async def looked(clock: FakeClock, looks: list[State], *, after: timedelta) -> None:
    count = len(looks)
    clock.advance(after)
    await at_rest(clock)
    assert len(looks) == count + 1


async def test_nobody_looks_unless_somebody_waits(
    store: SqliteEventStore, clock: FakeClock, looks: list[State]
) -> None:
    others = asyncio.all_tasks()
    await append(store)
    await claimed(store)
    assert (looks, clock.pending, asyncio.all_tasks()) == ([], 0, others)


async def test_a_cancelled_wait_leaves_nothing_behind(
    store: SqliteEventStore, clock: FakeClock
) -> None:
    others = asyncio.all_tasks()
    for turns in range(12):
        waiting = asyncio.create_task(store.wait_for_change(seen=store.changes, at_most=TTL))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert (clock.pending, asyncio.all_tasks()) == (0, others)
    waiting = await begun(store, clock)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (clock.pending, asyncio.all_tasks()) == (0, others)


async def test_a_wait_ends_when_the_store_is_closed(
    store: SqliteEventStore, clock: FakeClock
) -> None:
    waiting = await begun(store, clock)
    await store.aclose()
    with pytest.raises(StoreFailure, match="the store was closed"):
        await waiting
    with pytest.raises(StoreFailure, match="the store was closed"):
        await store.wait_for_change(seen=store.changes, at_most=TTL)
    assert clock.pending == 0


@pytest.mark.parametrize("wrong", [{"seen": -1}, {"at_most": timedelta(-1)}])
async def test_wrong_waits_are_refused(store: SqliteEventStore, wrong: dict[str, object]) -> None:
    given = {"seen": 0, "at_most": TTL, **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        await store.wait_for_change(**given)  # type: ignore[arg-type]


async def test_without_a_file_two_stores_of_one_client_hear_of_each_other(clock: FakeClock) -> None:
    async with SqliteEventStore.connect(":memory:", clock=clock) as store:
        other = SqliteEventStore(store._file._client, clock=clock)
        waiting = await begun(store, clock)
        await append(other)
        clock.advance(LOOK)
        assert await waiting is True
