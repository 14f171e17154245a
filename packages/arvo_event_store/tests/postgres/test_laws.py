"""What does not depend on the version of PostgreSQL, on one of them."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from arvo_event_store import Append, Appended, IEventStore, NewEvent
from arvo_event_store.postgres import PostgresEventStore, PostgresTransaction
from arvo_event_store.testing import (
    ClosedReactionStoreSuite,
    ConnectLog,
    ConnectStore,
    JoinAppends,
    JoinedAppendSuite,
    ReactionLawSuite,
    SharedEventLogSuite,
    StoreLawSuite,
)

from .conftest import Connect
from .own_tables import SuiteWithTable

FULL = os.environ.get("ARVO_FULL") == "1"


@pytest.mark.scaled
class TestLaws(StoreLawSuite):
    sequences = 500 if FULL else 200


@pytest.mark.scaled
class TestReactionLaws(ReactionLawSuite):
    sequences = 100 if FULL else 20


class TestLogOnBorrowedPools(SharedEventLogSuite):
    """Their connections do not have the settings for which the statements are written."""

    @pytest.fixture
    def connect(self, fast_dsn: str, schema: str) -> ConnectLog:
        @asynccontextmanager
        async def borrowing() -> AsyncIterator[PostgresEventStore]:
            async with asyncpg.create_pool(fast_dsn, min_size=1, max_size=4) as pool:
                yield PostgresEventStore(pool, schema=schema)

        return borrowing


@pytest.mark.scaled
class TestReactionsOnPlainPools(SuiteWithTable):
    """Borrowed ones, on which nothing is prepared, as behind a PgBouncer; work is a function."""

    by_function = True

    @pytest.fixture
    async def store(self, connect: ConnectStore) -> AsyncIterator[IEventStore]:
        async with connect() as store:
            yield store

    @pytest.fixture
    def connect(self, fast_dsn: str, schema: str) -> ConnectStore:
        @asynccontextmanager
        async def borrowing() -> AsyncIterator[PostgresEventStore]:
            async with asyncpg.create_pool(
                fast_dsn, min_size=1, max_size=4, statement_cache_size=0
            ) as pool:
                yield PostgresEventStore(pool, schema=schema)

        return borrowing


class TestTransactions(JoinedAppendSuite):
    @pytest.fixture(params=["begun", "joined"])
    def join(
        self, request: pytest.FixtureRequest, store: PostgresEventStore, fast_dsn: str
    ) -> JoinAppends:
        """Append in a transaction of the store, and in one of the user."""

        @asynccontextmanager
        async def joined() -> AsyncIterator[PostgresTransaction]:
            connection = await asyncpg.connect(fast_dsn)
            try:
                async with connection.transaction():
                    yield store.join(connection)
            finally:
                await connection.close()

        transaction = store.transaction if request.param == "begun" else joined

        async def join(
            appends: Sequence[Sequence[Append]], *, fail: Exception | None = None
        ) -> list[list[Appended]]:
            async with transaction() as log:
                done = [await log.append_all(each) for each in appends]
                if fail is not None:
                    raise fail
            return done

        return join


class TestClosedStore(ClosedReactionStoreSuite):
    @pytest.fixture
    async def closed_store(self, connect_to: Connect) -> PostgresEventStore:
        async with connect_to() as store:
            await store.append("a", [NewEvent("Added", 1)])
        return store


async def test_it_is_an_event_store(store: PostgresEventStore) -> None:
    """As a type checker sees it."""
    known: IEventStore = store
    assert await known.heads(["a"]) == {}
