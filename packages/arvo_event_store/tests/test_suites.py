"""The suites pass on the store in memory."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from arvo_event_store import MemoryEventStore, NewEvent
from arvo_event_store.testing import (
    ClosedStoreSuite,
    ConnectLog,
    EventLogSuite,
    SharedEventLogSuite,
    StoreLawSuite,
    StreamAdminSuite,
    WakingLog,
)


class InMemory:
    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryEventStore]:
        async with MemoryEventStore() as store:
            yield store


FULL = os.environ.get("ARVO_FULL") == "1"


@pytest.mark.scaled
class TestLogInMemory(InMemory, EventLogSuite):
    many_events = 200_000 if FULL else 10_000


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


class TestClosedStoreInMemory(ClosedStoreSuite):
    @pytest.fixture
    async def closed_store(self) -> MemoryEventStore:
        async with MemoryEventStore() as store:
            await store.append("a", [NewEvent("Added", 1)])
        return store
