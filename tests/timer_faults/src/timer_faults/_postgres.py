"""PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import asyncpg
from typing_extensions import override

from arvo_memory_postgres import PostgresMachineMemory
from real_servers import PostgresServer, postgres_flavours

from ._store import Store

_EARLIER: Final = (
    "UPDATE machines_due SET at = at - $1::interval, held_until = held_until - $1::interval",
    "UPDATE machines SET expires_at = expires_at - $1::interval WHERE expires_at IS NOT NULL",
)


class PostgresStore(Store):
    """The newest PostgreSQL of this machine."""

    name: ClassVar[str] = "postgres"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

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
        return self._server.dsn

    @override
    async def empty(self) -> None:
        async with PostgresMachineMemory.connect(self.url) as memory:
            await memory.migrate()
        await self._ask("TRUNCATE machines CASCADE")

    @override
    async def now(self) -> datetime:
        now: datetime = await self._ask("SELECT now()")
        return now

    @override
    async def let_pass(self, by: timedelta) -> None:
        for statement in _EARLIER:
            await self._ask(statement, by)

    @override
    async def entries(self) -> int:
        return int(await self._ask("SELECT count(*) FROM machines_due"))

    async def _ask(self, sql: str, *values: object) -> Any:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("SET search_path TO arvo, public")
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()
