"""Stores are told of changes, also of those of other processes, and lose nothing by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from arvo_event_store import Append, IWakeUps, NewEvent, StoreFailure, Wake
from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.postgres._notifications import Notifier
from arvo_event_store.stores import Blocked, Finish, Mark, Postponed, ReactionSpec
from arvo_event_store.testing import Advance
from arvo_postgres import Connections
from arvo_time.testing import FakeClock

from .conftest import Connect, fetch

HOUR = timedelta(hours=1)
NOTHING = timedelta(0)
ME = UUID(int=1)
PATIENCE = 60
WOKEN = ReactionSpec(name="r", events=None, addressed=True)
SCANNED = ReactionSpec(name="s", events=None)
WAKE = Wake(group="g", reaction="r", lane="default")
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"


async def listening(store: PostgresEventStore) -> int:
    """Wait until a store listens, and return its changes then."""
    await told(store, store.changes)
    return store.changes


async def told(store: PostgresEventStore, seen: int) -> None:
    async with asyncio.timeout(PATIENCE):
        assert await store.wait_for_change(seen=seen, at_most=HOUR)


async def append(store: PostgresEventStore, *wakes: Wake) -> int:
    (done,) = await store.append_all([Append("a", [NewEvent("Added", 1)], wakes=wakes)])
    assert done.position is not None
    return done.position


async def test_an_append_elsewhere_is_told(connect_to: Connect) -> None:
    """To those who wait, and to those who look at the count."""
    async with connect_to() as one, connect_to() as other:
        known: IWakeUps = one
        seen = await listening(one)
        waiting = asyncio.ensure_future(told(one, seen))
        await append(other)
        await waiting
        assert known.changes > seen
        assert await one.wait_for_change(seen=seen, at_most=NOTHING)


async def test_nothing_is_told_if_nothing_changed(store: PostgresEventStore) -> None:
    """A wait ends in time; the count stays."""
    await append(store)
    events = [NewEvent("Added", 1)]
    await store.append("b", events)
    seen = await listening(store)
    await store.append("b", events)
    await store.append("b", [])
    assert [event.data async for event in store.read("a")] == [1]
    assert store.changes == seen
    assert not await store.wait_for_change(seen=seen, at_most=NOTHING)


async def test_each_kind_of_change_is_told(connect_to: Connect, advance: Advance) -> None:
    """Appends, also in transactions, marks, outputs, and what operators set going."""
    async with connect_to() as one, connect_to() as other:
        await other.register("g", [WOKEN, SCANNED])
        seen = await listening(one)

        async def is_told(change: Awaitable[Any]) -> Any:
            nonlocal seen
            before = other.changes
            found = await change
            assert other.changes > before
            await told(one, seen)
            # What was told twice has come by now, or is told to the next one.
            seen = one.changes
            return found

        async def joined() -> None:
            async with other.transaction() as transaction:
                await transaction.append("a", [NewEvent("Added", 1)])

        async def claimed() -> Any:
            (lease,) = await other.claim(
                "g",
                owner=ME,
                ttl=HOUR,
                reactions=[WOKEN],
                lane="default",
                lagging=1,
                leading=0,
                max_events=1,
                max_bytes=1000,
            )
            return lease

        position = await is_told(append(other, WAKE))
        await is_told(joined())
        page = await other.scan("g", owner=ME, ttl=HOUR, reactions=[SCANNED], limit=10)
        assert page is not None
        mark = Mark(
            reaction="s",
            key="a",
            lane="other",
            reads=SCANNED.to,
            stream="a",
            at=0,
            mark=position,
        )
        await is_told(other.mark(page, [mark], progress=["s"]))
        lease = await claimed()
        await is_told(other.release([lease]))
        lease = await claimed()
        blocked = Blocked(error="x", position=position, failed=1)
        outputs = [Append("out", [NewEvent("Sent", 1)])]
        await is_told(
            other.finish([Finish(lease=lease, at=lease.at, then=blocked, appends=outputs)])
        )
        assert await is_told(other.unblock("g", reaction="r")) == 1
        await is_told(other.reset("g", reaction="s", after=0))


async def test_a_lost_listener_begins_again_and_looks(postgres_dsn: str, schema: str) -> None:
    """X4: what was told meanwhile counts as one change; then it hears as before."""
    dsn = f"{postgres_dsn}?application_name=waits"
    async with (
        PostgresEventStore.connect(dsn, schema=schema) as one,
        PostgresEventStore.connect(postgres_dsn, schema=schema) as other,
    ):
        seen = await listening(one)
        for _ in range(2):
            assert await fetch(postgres_dsn, END, "waits")
            await told(one, seen)
            seen = one.changes
            await append(other)
            await told(one, seen)
            seen = one.changes


async def test_a_lost_notifier_is_replaced(postgres_dsn: str, schema: str) -> None:
    """What could not be told is told later."""
    dsn = f"{postgres_dsn}?application_name=tells"
    async with (
        PostgresEventStore.connect(postgres_dsn, schema=schema) as one,
        PostgresEventStore.connect(dsn, schema=schema) as other,
    ):
        seen = await listening(one)
        for _ in range(2):
            await append(other)
            await told(one, seen)
            assert await fetch(postgres_dsn, END, "tells")
            seen = one.changes


async def test_many_changes_are_told_at_once(postgres_dsn: str) -> None:
    """At most one notification in 5 ms, and the last change is never left out."""
    clock = FakeClock()
    heard: list[str] = []

    def hear(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        heard.append(payload)

    listener = await asyncpg.connect(postgres_dsn)
    async with Connections.connect(postgres_dsn) as connections:
        await listener.add_listener("many", hear)
        notifier = Notifier(connections, channel="many", clock=clock)
        for position in (5, 7, 6):
            notifier.notify(position)
        await until(lambda: clock.pending > 0)
        assert notifier.pid is not None
        for position in range(8, 5000):
            notifier.notify(position)
        await clock.run_for(timedelta(milliseconds=5))
        await until(lambda: len(heard) == 2)
        notifier.notify(6)
        notifier.notify(0)
        await notifier.aclose()
        await notifier.aclose()
        notifier.notify(9)
        await until(lambda: len(heard) == 3)
        assert heard == ["7", "4999", "6"]
    await listener.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110 - there is nothing to wait for but the server
            await asyncio.sleep(0.001)


async def test_no_connection_is_opened_before_it_is_needed(postgres_dsn: str, schema: str) -> None:
    """One more by writing, one more by waiting; closing ends all, and tells what is to be told."""
    dsn = f"{postgres_dsn}?application_name=counted"
    tasks = asyncio.all_tasks()

    async def sessions() -> int:
        ((count,),) = await fetch(postgres_dsn, SESSIONS, "counted")
        return int(count)

    async with (
        PostgresEventStore.connect(postgres_dsn, schema=schema) as other,
        PostgresEventStore.connect(dsn, schema=schema, pool_size=1) as store,
    ):
        await store.horizon()
        assert not await other.wait_for_change(seen=0, at_most=NOTHING)
        seen = await listening(other)
        assert await sessions() == 1
        await listening(store)
        assert await sessions() == 2
        await append(store)
        await told(other, seen)
        assert await sessions() == 3
        seen = other.changes
        await append(store)
        await store.aclose()
        await told(other, seen)
        async with asyncio.timeout(PATIENCE):
            while await sessions():
                pass
    assert asyncio.all_tasks() == tasks


async def test_closing_ends_a_wait(connect_to: Connect) -> None:
    async with connect_to() as store:
        seen = await listening(store)
        waiting = asyncio.ensure_future(store.wait_for_change(seen=seen, at_most=HOUR))
        await asyncio.sleep(0)
        await store.aclose()
        with pytest.raises(StoreFailure, match="closed"):
            await waiting
        with pytest.raises(StoreFailure, match="closed"):
            await store.wait_for_change(seen=0, at_most=HOUR)


async def test_a_cancelled_wait_leaves_nothing(connect_to: Connect) -> None:
    """Nor does one that ends in time."""
    async with connect_to() as store:
        seen = await listening(store)
        for _ in range(100):
            waiting = asyncio.ensure_future(store.wait_for_change(seen=seen, at_most=HOUR))
            await asyncio.sleep(0)
            waiting.cancel()
            assert not await store.wait_for_change(seen=seen, at_most=NOTHING)
        assert store._notifications._changes._waiters == set()


@pytest.mark.parametrize("wrong", [{"seen": -1}, {"seen": True}, {"at_most": 1}])
async def test_wrong_arguments_are_refused(
    store: PostgresEventStore, wrong: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"seen": 0, "at_most": HOUR, **wrong}
    with pytest.raises((TypeError, ValueError)):
        await store.wait_for_change(**given)


@asynccontextmanager
async def borrowed(dsn: str, schema: str) -> AsyncIterator[PostgresEventStore]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        store = PostgresEventStore(pool, schema=schema)
        yield store
        await store.aclose()


@asynccontextmanager
async def lent(dsn: str, schema: str) -> AsyncIterator[PostgresEventStore]:
    async with Connections.connect(dsn, pool_size=1) as connections:
        store = PostgresEventStore(connections, schema=schema)
        yield store
        await store.aclose()
        assert not connections.is_closed


@pytest.mark.parametrize("silent", [True, False], ids=["listen=False", "borrowed"])
async def test_without_listening_no_other_connection_is_used(
    silent: bool, postgres_dsn: str, schema: str
) -> None:
    """A wait just takes its time, unless the store changes something itself."""
    dsn = f"{postgres_dsn}?application_name=silent"
    opening = (
        PostgresEventStore.connect(dsn, schema=schema, pool_size=1, listen=False)
        if silent
        else borrowed(dsn, schema)
    )
    async with opening as store:
        assert not await store.wait_for_change(seen=0, at_most=NOTHING)
        assert await append(store) == 1
        assert await store.wait_for_change(seen=0, at_most=HOUR)
        ((count,),) = await fetch(postgres_dsn, SESSIONS, "silent")
        assert count == 1


async def test_connections_that_are_lent_can_listen(postgres_dsn: str, schema: str) -> None:
    async with lent(postgres_dsn, schema) as one, lent(postgres_dsn, schema) as other:
        seen = await listening(one)
        await append(other)
        await told(one, seen)


async def test_postponed_targets_are_no_changes(store: PostgresEventStore) -> None:
    """`Ready.due_after` says when to look for them."""
    await store.register("g", [WOKEN])
    await append(store, WAKE)
    (lease,) = await store.claim(
        "g",
        owner=ME,
        ttl=HOUR,
        reactions=[WOKEN],
        lane="default",
        lagging=1,
        leading=0,
        max_events=1,
        max_bytes=1000,
    )
    seen = store.changes
    then = Postponed(failed=0, after=HOUR)
    await store.finish([Finish(lease=lease, at=lease.at, then=then)])
    assert store.changes == seen
