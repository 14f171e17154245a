"""The suites pass on the store in a SQLite file, and on one without a file."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from arvo_event_store import Append, Appended, NewEvent, SqliteEventStore, SqliteLog
from arvo_event_store.testing import (
    ClosedStoreSuite,
    ConnectLog,
    EventLogSuite,
    JoinAppends,
    JoinedAppendSuite,
    SharedEventLogSuite,
    StoreLawSuite,
    StreamAdminSuite,
    WakingLog,
)

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
    sequences = 2_000 if FULL else 200


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


class TestClosedStoreOnAFile(ClosedStoreSuite):
    @pytest.fixture
    async def closed_store(self, tmp_path: Path) -> SqliteEventStore:
        async with SqliteEventStore.connect(tmp_path / "events.db") as store:
            await store.append("a", [NewEvent("Added", 1)])
        return store
