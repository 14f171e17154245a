"""The databases in which the wallet is kept."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar, Final, Self

import asyncpg
from typing_extensions import override

from real_servers import PostgresServer, postgres_flavours
from wallet.bank import SCHEMA

_TABLES: Final = ("target", "reaction")


class Database(ABC):
    """A database of our own; made by `start`."""

    name: ClassVar[str]
    """Its id in the names of tests."""

    @classmethod
    @abstractmethod
    @contextmanager
    def start(cls, folder: Path) -> "Iterator[Database]":
        """Start it for as long as the block lasts.

        Args:
            folder: Where it may keep files.

        Raises:
            ServerNotFoundError: This machine has none.
        """

    @property
    @abstractmethod
    def url(self) -> str:
        """What `wallet.bank.open_bank` opens."""

    @abstractmethod
    async def empty(self) -> None:
        """Forget everything; nobody may have it open."""

    @abstractmethod
    async def end_leases(self) -> None:
        """Let all leases run out now."""


class SqliteDatabase(Database):
    """A file."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    @classmethod
    @override
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        yield cls(folder)

    @property
    @override
    def url(self) -> str:
        return f"sqlite:///{self._path}?synchronous=normal"

    @override
    async def empty(self) -> None:
        self._number += 1

    @override
    async def end_leases(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=20)) as connection:
            for table in _TABLES:
                connection.execute(f"UPDATE {table} SET lease_until = 0 WHERE lease_until > 0")
            connection.commit()

    @property
    def _path(self) -> Path:
        return self._folder / f"wallet-{self._number}.db"


class PostgresDatabase(Database):
    """The newest PostgreSQL of this machine."""

    name = "postgres"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        """The server, which a test may kill."""

    @classmethod
    @override
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        flavours = postgres_flavours()
        with PostgresServer.start(flavours[-1] if flavours else None) as server:
            yield cls(server)

    @property
    @override
    def url(self) -> str:
        return self.server.dsn

    @override
    async def empty(self) -> None:
        await self._execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")

    @override
    async def end_leases(self) -> None:
        for table in _TABLES:
            await self._execute(
                f"UPDATE {SCHEMA}.{table} SET lease_until = clock_timestamp() "
                "WHERE lease_until > clock_timestamp()"
            )

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


DATABASES: Final[tuple[type[Database], ...]] = (SqliteDatabase, PostgresDatabase)
"""One of each kind that several processes can share."""
