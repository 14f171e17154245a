"""SQL on a test's server, beside the code that is tested. Needs asyncpg, unlike the rest of this package."""

import asyncpg


async def execute(dsn: str, sql: str) -> None:
    """Run statements on a connection of their own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def fetch(dsn: str, sql: str, *args: object) -> list[asyncpg.Record]:
    """Run a statement on a connection of its own, and return its rows."""
    connection = await asyncpg.connect(dsn)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(sql, *args)
        return rows
    finally:
        await connection.close()


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
