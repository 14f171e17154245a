"""A store of somebody else: written and tested with public names alone."""

import ast
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import Append, Appended
from arvo_event_store.testing import (
    Advance,
    ClosableEventStore,
    ClosedReactionStoreSuite,
    ConnectLog,
    ConnectStore,
    EventLogSuite,
    JoinAppends,
    JoinedAppendSuite,
    ReactionLawSuite,
    ReactionStoreSuite,
    SharedEventLogSuite,
    StoreLawSuite,
    StreamAdminSuite,
    WakingLog,
    WorkerSuite,
)
from arvo_time.testing import FakeClock

from .reactions import ToyStore
from .tables import Database


class OfToy:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[ToyStore]:
        store = ToyStore(Database(), clock)
        yield store
        await store.aclose()

    @pytest.fixture
    def advance(self, clock: FakeClock) -> Advance:
        return clock.run_for


class TestToyLog(OfToy, EventLogSuite):
    many_events = 2_000


class TestToyStreams(OfToy, StreamAdminSuite):
    pass


class TestToyLaws(OfToy, StoreLawSuite):
    sequences = 50


class TestToyReactions(OfToy, ReactionStoreSuite):
    @pytest.fixture
    def connect(self, store: ToyStore) -> ConnectStore:
        return lambda: nullcontext(store)


class TestToyReactionLaws(OfToy, ReactionLawSuite):
    sequences = 30


class TestToyWorkers(WorkerSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[ToyStore]:
        self.clock = FakeClock()
        store = ToyStore(Database(), self.clock)
        yield store
        await store.aclose()

    @override
    async def complete(self, scenario: Coroutine[Any, Any, None]) -> None:
        assert isinstance(self.clock, FakeClock)
        await self.clock.run_until_complete(scenario)


class TestToyTransactions(OfToy, JoinedAppendSuite):
    @pytest.fixture
    def join(self, store: ToyStore) -> JoinAppends:
        async def join(
            appends: Sequence[Sequence[Append]], *, fail: Exception | None = None
        ) -> list[list[Appended]]:
            async with store.transaction() as log:
                done = [await log.append_all(each) for each in appends]
                if fail is not None:
                    raise fail
            return done

        return join


class TestClosedToy(ClosedReactionStoreSuite):
    @pytest.fixture
    async def closed_store(self) -> ClosableEventStore:
        store = ToyStore(Database())
        await store.aclose()
        return store


class TestToyLogShared(SharedEventLogSuite):
    @pytest.fixture
    def connect(self) -> ConnectLog:
        database = Database()

        @asynccontextmanager
        async def connect() -> AsyncIterator[WakingLog]:
            store = ToyStore(database)
            yield store
            await store.aclose()

        return connect


def test_no_private_name_is_imported() -> None:
    imported: list[str] = []
    for file in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported += [node.module or "", *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Import):
                imported += [alias.name for alias in node.names]
    assert {"arvo_event_store.stores", "arvo_event_store.testing", "tables"} <= {*imported}
    assert [name for name in imported if name.startswith("_") or "._" in name] == []
