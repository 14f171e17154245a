"""The suite of reactions, with a table of the user beside those of the store."""

from typing import ClassVar

import asyncpg
from typing_extensions import override

from arvo_event_store import IEventStore
from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.stores import Statement, Work
from arvo_event_store.testing import OwnTable, ReactionStoreSuite

from .conftest import quoted


class SuiteWithTable(ReactionStoreSuite):
    """The suite for a store that runs work."""

    by_function: ClassVar[bool] = False
    """Whether the work is a function, not a statement."""

    @override
    async def own_table(self, store: IEventStore) -> OwnTable | None:
        assert isinstance(store, PostgresEventStore)
        table = f"{quoted(store._tables.schema)}.numbers"
        async with store.transaction() as transaction:
            run = transaction.connection
            await run.execute(f"DROP TABLE IF EXISTS {table}")
            await run.execute(f"CREATE TABLE {table} (number int PRIMARY KEY)")

        def insert(number: int) -> Work:
            sql = f"INSERT INTO {table} VALUES ($1)"
            if not self.by_function:
                return Statement(sql, (number,))

            async def work(connection: asyncpg.Connection) -> None:
                await connection.execute(sql, number)

            return work

        async def numbers() -> list[int]:
            async with store.transaction() as transaction:
                rows = await transaction.connection.fetch(
                    f"SELECT number FROM {table} ORDER BY number"
                )
            return [row["number"] for row in rows]

        return OwnTable(insert=insert, numbers=numbers)
