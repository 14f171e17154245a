"""Nobody passes a position below which an event may still appear."""

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from arvo_event_store import Append, Event, NewEvent, NotSupportedError
from arvo_event_store.postgres import PostgresEventStore

from .conftest import Connect, Show, execute, fetch, quoted

SECONDS = 30 if os.environ.get("ARVO_FULL") == "1" else 2
WRITERS = 10


def added(amount: int = 1) -> NewEvent:
    return NewEvent("Added", {"amount": amount})


async def positions(store: PostgresEventStore) -> list[int]:
    return [event.position async for event in store.read_all()]


async def test_a_slow_writer_holds_the_horizon_below_its_events(connect_to: Connect) -> None:
    """Even if its event is the very first one of the log."""
    async with connect_to() as slow, connect_to() as fast:
        async with slow.transaction() as transaction:
            await transaction.append("slow", [added()])
            await fast.append("fast", [added()])
            assert await fast.horizon() == 0
            assert await positions(fast) == []
        assert await fast.horizon() == 2
        assert await positions(fast) == [1, 2]


async def test_a_slow_writer_holds_nothing_back_that_came_before_it(connect_to: Connect) -> None:
    async with connect_to() as slow, connect_to() as fast:
        await fast.append("fast", [added(), added()])
        async with slow.transaction() as transaction:
            await transaction.append("slow", [added()])
            await fast.append("fast", [added()])
            assert await positions(fast) == [1, 2]
        assert await positions(fast) == [1, 2, 3, 4]


async def test_the_gap_of_a_rollback_is_passed(store: PostgresEventStore) -> None:
    with suppress(ZeroDivisionError):
        async with store.transaction() as transaction:
            await transaction.append("undone", [added(), added()])
            raise ZeroDivisionError
    assert await store.horizon() == 2
    await store.append("done", [added()])
    assert await positions(store) == [3]
    assert await store.heads(["undone"]) == {}


@asynccontextmanager
async def long_transaction(dsn: str) -> AsyncIterator[None]:
    """Hold a transaction open that writes, and locks as appends do."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("CREATE TABLE long_transaction (n integer)")
            await connection.execute("SELECT pg_advisory_xact_lock_shared(1), pg_current_xact_id()")
            yield
            await connection.execute("DROP TABLE long_transaction")
    finally:
        await connection.close()


async def test_only_appends_of_this_store_hold_the_horizon_back(
    postgres_dsn: str, store: PostgresEventStore, connect_to: Connect
) -> None:
    """A long transaction in this and in another database, and an append there, delay nothing."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(postgres_dsn, f"CREATE DATABASE {name}")
    elsewhere = f"{postgres_dsn.rpartition('/')[0]}/{name}"
    schema = store._tables.schema
    try:
        async with (
            long_transaction(postgres_dsn),
            long_transaction(elsewhere),
            PostgresEventStore.connect(elsewhere, schema=schema) as other,
        ):
            await other.migrate()
            async with other.transaction() as transaction:
                await transaction.append("elsewhere", [added()])
                await store.append("here", [added()])
                assert await store.horizon() == 1
    finally:
        await execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_transaction_of_many_appends_takes_one_lock(
    store: PostgresEventStore, postgres_dsn: str
) -> None:
    """A server has room for a few thousand locks."""
    async with store.transaction() as transaction:
        for _ in range(30):
            await transaction.append("a", [added()])
            await store.append("b", [added()])
        ((count,),) = await fetch(
            postgres_dsn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        )
        assert count == 1
        assert await store.horizon() == 0
    assert await store.horizon() == 60


async def test_an_append_after_a_savepoint_that_was_undone_is_protected(
    store: PostgresEventStore,
) -> None:
    """The lock of the append before it is gone with the savepoint."""
    async with store.transaction() as transaction:
        with suppress(ZeroDivisionError):
            async with transaction.connection.transaction():
                await transaction.append("a", [added()])
                raise ZeroDivisionError
        await store.append("b", [added()])
        assert await store.horizon() == 2
        await transaction.append("a", [added()])
        await store.append("b", [added()])
        assert await store.horizon() == 2
    assert await positions(store) == [2, 3, 4]


async def test_each_transaction_of_a_connection_takes_a_lock_of_its_own(
    connect_to: Connect,
) -> None:
    """That of the one before would take the horizon back."""
    async with connect_to(pool_size=1) as store, connect_to() as other:
        for number in range(3):
            async with store.transaction() as transaction:
                await transaction.append("a", [added()])
                assert await other.horizon() == number
        assert await other.horizon() == 3


async def test_the_log_is_not_read_in_a_transaction_that_sees_the_past(
    store: PostgresEventStore, postgres_dsn: str
) -> None:
    """It would pass events that were committed since it began."""
    connection = await asyncpg.connect(postgres_dsn)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            joined = store.join(connection)
            with pytest.raises(NotSupportedError, match="repeatable read"):
                await joined.horizon()
            assert await joined.heads(["a"]) == {}
    finally:
        await connection.close()


class Writers:
    """Appends of many kinds."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._store = store
        self.commits = 0
        self.stopping = False
        self.finished = False

    async def run(self) -> None:
        """Let all writers append for `SECONDS`."""
        asyncio.get_running_loop().call_later(SECONDS, setattr, self, "stopping", True)
        await asyncio.gather(*(self.write(number) for number in range(WRITERS)))
        self.finished = True

    async def write(self, number: int) -> None:
        chance = random.Random(number)
        while not self.stopping:
            streams = chance.sample([f"s{each}" for each in range(12)], k=3)
            kind = chance.random()
            if kind < 0.4:
                await self._store.append(streams[0], [added()])
            elif kind < 0.6:
                await self._store.append_all([Append(each, [added()]) for each in streams])
            else:
                pause = chance.uniform(0, 0.015) if kind < 0.8 else 0
                await self._in_a_transaction(streams, pause, undone=chance.random() < 0.2)
            self.commits += 1

    async def _in_a_transaction(self, streams: list[str], pause: float, *, undone: bool) -> None:
        try:
            async with self._store.transaction() as transaction:
                await transaction.append_all([Append(each, [added()]) for each in streams])
                await transaction.connection.execute("SELECT pg_sleep($1)", pause)
                if undone:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass


async def followed(page: Callable[[int], Awaitable[list[int]]], writers: Writers) -> list[int]:
    """Read positions as they appear, each from the last one on, until all is written."""
    found: list[int] = []
    while True:
        is_last = writers.finished
        new = await page(found[-1] if found else 0)
        found += new
        if is_last and not new:
            return found


@pytest.mark.alone
@pytest.mark.scaled
async def test_a_reader_beside_writers_loses_nothing_and_a_plain_watermark_does(
    postgres_dsn: str, schema: str, show: Show
) -> None:
    """Ten writers with pauses, rollbacks and appends to three streams at once."""
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ((deadlocked,),) = await fetch(postgres_dsn, deadlocks)
    watermark = await asyncpg.connect(postgres_dsn)
    seen: list[Event] = []
    async with (
        PostgresEventStore.connect(postgres_dsn, schema=schema, pool_size=WRITERS) as store,
        PostgresEventStore.connect(postgres_dsn, schema=schema) as reader,
    ):
        writers = Writers(store)
        events = f"{quoted(store._tables.schema)}.event"

        async def protected(after: int) -> list[int]:
            new = [event async for event in reader.read_all(after=after)]
            seen.extend(new)
            return [event.position for event in new]

        async def plain(after: int) -> list[int]:
            sql = f"SELECT position FROM {events} WHERE position > $1 ORDER BY position"
            return [row["position"] for row in await watermark.fetch(sql, after)]

        found, unprotected, _ = await asyncio.gather(
            followed(protected, writers), followed(plain, writers), writers.run()
        )
        stored = [event.position async for event in reader.read_all()]
        ends = await reader.heads([f"s{each}" for each in range(12)])
    await watermark.close()
    lost = len(set(stored) - set(found))
    plainly_lost = len(set(stored) - set(unprotected))
    doubled = len(found) - len(set(found))
    versions: dict[str, list[int]] = {}
    for event in seen:
        versions.setdefault(event.stream, []).append(event.version)
    misplaced = sum(each != list(range(len(each))) for each in versions.values())
    misplaced += found != sorted(found)
    ((now_deadlocked,),) = await fetch(postgres_dsn, deadlocks)
    show(
        f"{len(stored)} events of {writers.commits} transactions in {SECONDS} s: lost {lost}, "
        f"doubled {doubled}, streams out of order {misplaced}, "
        f"deadlocks {now_deadlocked - deadlocked}; a plain watermark lost {plainly_lost}"
    )
    assert Counter(lost=lost, doubled=doubled, misplaced=misplaced).total() == 0
    assert now_deadlocked == deadlocked
    assert {stream: each[-1] for stream, each in versions.items()} == {
        stream: head.version for stream, head in ends.items()
    }
    assert plainly_lost > 0, "the load has no holes, so it proves nothing"
