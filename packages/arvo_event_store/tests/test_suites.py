"""The suites pass on the store in memory."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest

from arvo_event_store import MemoryEventStore, NewEvent
from arvo_event_store.testing import (
    Advance,
    ClosedReactionStoreSuite,
    ConnectLog,
    ConnectStore,
    EventLogSuite,
    ReactionLawSuite,
    ReactionStoreSuite,
    SharedEventLogSuite,
    StoreLawSuite,
    StreamAdminSuite,
    WakingLog,
)
from arvo_time.testing import FakeClock


class InMemory:
    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryEventStore]:
        async with MemoryEventStore() as store:
            yield store


FULL = os.environ.get("ARVO_FULL") == "1"


@pytest.mark.scaled
class TestLogInMemory(InMemory, EventLogSuite):
    many_events = 50_000 if FULL else 10_000


class TestStreamsInMemory(InMemory, StreamAdminSuite):
    pass


@pytest.mark.scaled
class TestLawsInMemory(InMemory, StoreLawSuite):
    """The reference itself, so that the suite is the same each time."""

    sequences = 2_000 if FULL else 200


class TestSharedLogInMemory(InMemory, SharedEventLogSuite):
    """Its clients are one and the same object."""

    @pytest.fixture
    def connect(self, store: MemoryEventStore) -> ConnectLog:
        @asynccontextmanager
        async def same() -> AsyncIterator[WakingLog]:
            yield store

        return same


class WithAClock:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[MemoryEventStore]:
        async with MemoryEventStore(clock=clock) as store:
            yield store

    @pytest.fixture
    def connect(self, store: MemoryEventStore) -> ConnectStore:
        return lambda: nullcontext(store)

    @pytest.fixture
    def advance(self, clock: FakeClock) -> Advance:
        return clock.run_for


class TestReactionsInMemory(WithAClock, ReactionStoreSuite):
    pass


@pytest.mark.scaled
class TestReactionLawsInMemory(WithAClock, ReactionLawSuite):
    """The reference itself, so that the suite is the same each time."""

    sequences = 500 if FULL else 50


class TestClosedStoreInMemory(ClosedReactionStoreSuite):
    @pytest.fixture
    async def closed_store(self) -> MemoryEventStore:
        async with MemoryEventStore() as store:
            await store.append("a", [NewEvent("Added", 1)])
        return store
