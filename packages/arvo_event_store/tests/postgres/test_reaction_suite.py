"""The suite of reactions passes on every PostgreSQL of the machine, and on all kinds of connections."""

import asyncpg
import pytest
from real_servers.fixtures import postgres_flavour as postgres_flavour
from typing_extensions import override

from arvo_event_store import IEventStore
from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.stores import Statement, Work
from arvo_event_store.testing import ConnectStore, OwnTable, ReactionStoreSuite

from .conftest import Connect, execute, fetch, quoted


class SuiteWithTable(ReactionStoreSuite):
    """The suite with a table of the user beside those of the store."""

    callable_work = False

    @override
    async def own_table(self, store: IEventStore) -> OwnTable | None:
        assert isinstance(store, PostgresEventStore)
        table = f"{quoted(store._tables.schema)}.numbers"
        dsn = self.dsn
        await execute(
            dsn, f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (number int PRIMARY KEY)"
        )

        def insert(number: int) -> Work:
            sql = f"INSERT INTO {table} VALUES ($1)"
            if not self.callable_work:
                return Statement(sql, (number,))

            async def work(connection: asyncpg.Connection) -> None:
                await connection.execute(sql, number)

            return work

        async def numbers() -> list[int]:
            rows = await fetch(dsn, f"SELECT number FROM {table} ORDER BY number")
            return [row["number"] for row in rows]

        return OwnTable(insert=insert, numbers=numbers)

    dsn: str

    @pytest.fixture(autouse=True)
    def _dsn(self, postgres_dsn: str) -> None:
        self.dsn = postgres_dsn

    @pytest.fixture
    def connect(self, connect_to: Connect) -> ConnectStore:
        return connect_to


class TestReactions(SuiteWithTable):
    pass
