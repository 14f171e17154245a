"""The table of balances, beside the events in the same database."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from typing_extensions import override

from arvo_event_store import Batch, SqliteEventStore
from arvo_event_store.postgres import PostgresEventStore

from .accounts import Account

Rows: TypeAlias = Mapping[str, tuple[int, int]]
"""What is available and what is put aside, in cents, by account."""

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS {table} "
    "(account text PRIMARY KEY, available bigint NOT NULL, reserved bigint NOT NULL)"
)
_ADD: Final = (
    "INSERT INTO {table} AS old VALUES ({values}) ON CONFLICT (account) DO UPDATE SET "
    "available = old.available + excluded.available, reserved = old.reserved + excluded.reserved"
)
_READ: Final = "SELECT account, available, reserved FROM {table}"


class Balances(ABC):
    """A table with a row for each account."""

    @abstractmethod
    async def create(self) -> None:
        """Make it, unless it is there."""

    @abstractmethod
    def add(self, batch: Batch[Any], changes: Mapping[str, Account]) -> None:
        """Add changes to the rows of accounts, together with the acknowledgement of a batch.

        Args:
            batch: The events from which the changes come.
            changes: What they come to, by account.
        """

    @abstractmethod
    async def rows(self) -> Rows:
        """Return all rows."""


class MemoryBalances(Balances):
    """A dict, as a store in memory runs no SQL. It is gone with the process, like the store."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, int]] = {}

    @override
    async def create(self) -> None:
        pass

    @override
    def add(self, batch: Batch[Any], changes: Mapping[str, Account]) -> None:
        for account, change in changes.items():
            available, reserved = self._rows.get(account, (0, 0))
            self._rows[account] = (available + change.available, reserved + change.reserved)

    @override
    async def rows(self) -> Rows:
        return dict(self._rows)


class _SqlBalances(Balances):
    """A table of a database.

    Args:
        table: Its name.
        values: The placeholders of a row.
    """

    def __init__(self, *, table: str, values: str) -> None:
        self._create = _CREATE.format(table=table)
        self._add = _ADD.format(table=table, values=values)
        self._read = _READ.format(table=table)

    @override
    def add(self, batch: Batch[Any], changes: Mapping[str, Account]) -> None:
        for account, change in sorted(changes.items()):
            batch.execute(self._add, account, change.available, change.reserved)


class SqliteBalances(_SqlBalances):
    """A table in the file of the store."""

    def __init__(self, store: SqliteEventStore) -> None:
        super().__init__(table="balance", values="?, ?, ?")
        self._store = store

    @override
    async def create(self) -> None:
        await self._store.execute(self._create)

    @override
    async def rows(self) -> Rows:
        rows = await self._store.fetch(self._read)
        return {account: (available, reserved) for account, available, reserved in rows}


class PostgresBalances(_SqlBalances):
    """A table in the schema of the store."""

    def __init__(self, store: PostgresEventStore, *, schema: str) -> None:
        super().__init__(table=f"{schema}.balance", values="$1, $2, $3")
        self._store = store

    @override
    async def create(self) -> None:
        async with self._store.transaction() as transaction:
            await transaction.connection.execute(self._create)

    @override
    async def rows(self) -> Rows:
        async with self._store.transaction() as transaction:
            rows = await transaction.connection.fetch(self._read)
        return {row["account"]: (row["available"], row["reserved"]) for row in rows}
