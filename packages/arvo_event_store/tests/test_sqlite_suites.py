"""The suites pass on the store in a SQLite file, and on one without a file."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest

from arvo_event_store import (
    Append,
    Appended,
    IEventStore,
    NewEvent,
    SqliteEventStore,
    SqliteLog,
)
from arvo_event_store.stores import Statement
from arvo_event_store.testing import (
    Advance,
    ClosedReactionStoreSuite,
    ConnectLog,
    ConnectStore,
    EventLogSuite,
    JoinAppends,
    JoinedAppendSuite,
    OwnTable,
    ReactionLawSuite,
    ReactionStoreSuite,
    SharedEventLogSuite,
    StoreLawSuite,
    StreamAdminSuite,
    WakingLog,
)
from arvo_time.testing import FakeClock

FULL = os.environ.get("ARVO_FULL") == "1"


class OnAFile:
    @pytest.fixture
    def connect(self, tmp_path: Path) -> ConnectLog:
        return lambda: SqliteEventStore.connect(tmp_path / "events.db", synchronous="normal")

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
        path = tmp_path / "events.db"
        async with SqliteEventStore.connect(path, synchronous="normal") as store:
            yield store


class WithoutAFile:
    @pytest.fixture
    async def store(self) -> AsyncIterator[SqliteEventStore]:
        async with SqliteEventStore.connect(":memory:") as store:
            yield store

    @pytest.fixture
    def connect(self, store: SqliteEventStore) -> ConnectLog:
        @asynccontextmanager
        async def same() -> AsyncIterator[WakingLog]:
            yield store

        return same


class Joining:
    @pytest.fixture
    def join(self, store: SqliteEventStore) -> JoinAppends:
        async def join(
            appends: Sequence[Sequence[Append]], *, fail: Exception | None = None
        ) -> list[list[Appended]]:
            def work(connection: sqlite3.Connection, log: SqliteLog) -> list[list[Appended]]:
                connection.execute("CREATE TABLE own (id TEXT)")
                done = [log.append_all(each) for each in appends]
                if fail is not None:
                    raise fail
                return done

            return await store.write(work)

        return join


@pytest.mark.scaled
class TestLogOnAFile(OnAFile, EventLogSuite):
    many_events = 200_000 if FULL else 10_000


class TestLogWithoutAFile(WithoutAFile, EventLogSuite):
    pass


class TestStreamsOnAFile(OnAFile, StreamAdminSuite):
    pass


class TestStreamsWithoutAFile(WithoutAFile, StreamAdminSuite):
    pass


@pytest.mark.scaled
class TestLawsOnAFile(OnAFile, StoreLawSuite):
    sequences = 1_000 if FULL else 200


class TestLawsWithoutAFile(WithoutAFile, StoreLawSuite):
    sequences = 20


class TestJoinedAppendsOnAFile(OnAFile, Joining, JoinedAppendSuite):
    pass


class TestJoinedAppendsWithoutAFile(WithoutAFile, Joining, JoinedAppendSuite):
    pass


class TestSharedLogOnAFile(OnAFile, SharedEventLogSuite):
    pass


class TestSharedLogWithoutAFile(WithoutAFile, SharedEventLogSuite):
    pass


class Reacting:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def advance(self, clock: FakeClock) -> Advance:
        return clock.run_for

    async def own_table(self, store: IEventStore) -> OwnTable | None:
        assert isinstance(store, SqliteEventStore)
        await store.execute("CREATE TABLE own (number INTEGER PRIMARY KEY)")

        async def numbers() -> list[int]:
            return [number for (number,) in await store.fetch("SELECT number FROM own")]

        return OwnTable(
            insert=lambda number: Statement("INSERT INTO own VALUES (?)", (number,)),
            numbers=numbers,
        )


class ReactingOnAFile(Reacting):
    @pytest.fixture
    def connect(self, tmp_path: Path, clock: FakeClock) -> ConnectStore:
        path = tmp_path / "events.db"
        return lambda: SqliteEventStore.connect(path, synchronous="normal", clock=clock)

    @pytest.fixture
    async def store(self, connect: ConnectStore) -> AsyncIterator[IEventStore]:
        async with connect() as store:
            yield store


class ReactingWithoutAFile(Reacting):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[SqliteEventStore]:
        async with SqliteEventStore.connect(":memory:", clock=clock) as store:
            yield store

    @pytest.fixture
    def connect(self, store: SqliteEventStore) -> ConnectStore:
        return lambda: nullcontext(store)


class TestReactionsOnAFile(ReactingOnAFile, ReactionStoreSuite):
    pass


class TestReactionsWithoutAFile(ReactingWithoutAFile, ReactionStoreSuite):
    pass


@pytest.mark.scaled
class TestReactionLawsOnAFile(ReactingOnAFile, ReactionLawSuite):
    sequences = 200 if FULL else 50


class TestReactionLawsWithoutAFile(ReactingWithoutAFile, ReactionLawSuite):
    sequences = 10


class TestClosedStoreOnAFile(ClosedReactionStoreSuite):
    @pytest.fixture
    async def closed_store(self, tmp_path: Path) -> SqliteEventStore:
        async with SqliteEventStore.connect(tmp_path / "events.db") as store:
            await store.append("a", [NewEvent("Added", 1)])
        return store
