"""Brings a schema up to date, whoever else does the same at the same time."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Any

from arvo_event_handler import MachineMemoryError

from ._failures import MIGRATE
from ._table_name import TableName

_KNOWN = """
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS has_schema, EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
) AS has_table"""


@cache
def migrations() -> dict[int, str]:
    """Return the SQL of every migration by number, in order; `{table}` stands for the table."""
    folder = files("arvo_memory_postgres") / "_migrations"
    found = {
        int(file.name.partition("_")[0]): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
    return dict(sorted(found.items()))


def newest() -> int:
    """Return the number of the last migration that this version knows."""
    return max(migrations())


def check_version(version: int, *, table: TableName) -> None:
    """Make sure that a schema is the one this version works with.

    Raises:
        MachineMemoryError: It is missing, older or newer; not retryable.
    """
    if version == newest():
        return
    if version > newest():
        raise _newer(version, table)
    state = "is missing" if version == 0 else f"has version {version}, older than {newest()}"
    raise MachineMemoryError(
        f"the table {str(table)!r} {state}; {MIGRATE}", retryable=False, outcome="failed"
    )


async def schema_version(fetch: Callable[..., Awaitable[list[Any]]], table: TableName) -> int:
    """Return the number of the last migration that was made; 0 for none.

    Args:
        fetch: Runs a statement with its arguments and returns the rows.
        table: Whose.
    """
    (known,) = await fetch(_KNOWN, table.schema, table.migrations)
    if not known["has_table"]:
        return 0
    (newest_made,) = await fetch(
        f"SELECT coalesce(max(version), 0) AS version FROM {table.quoted_migrations}"  # noqa: S608 - quoted
    )
    version: int = newest_made["version"]
    return version


async def migrate(connection: Any, table: TableName, *, dry_run: bool) -> str:
    """Make the migrations that are missing, in one transaction.

    Returns:
        The SQL that was run, or would be.

    Raises:
        MachineMemoryError: The schema is newer than this version knows.
    """
    async with connection.transaction():
        if not dry_run:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _lock_number(table.schema))
        current = await schema_version(connection.fetch, table)
        if current > newest():
            raise _newer(current, table)
        known = await connection.fetchrow(_KNOWN, table.schema, table.migrations)
        sql = _pending(table, current, has_schema=known["has_schema"])
        if sql and not dry_run:
            await connection.execute(sql)
    return sql


def _pending(table: TableName, current: int, *, has_schema: bool) -> str:
    parts: list[str] = []
    # Asked for even if it exists, it would need a right that the role may lack.
    if not has_schema:
        parts.append(f"CREATE SCHEMA {table.quoted_schema};\n")
    if current == 0:
        parts.append(
            f"CREATE TABLE IF NOT EXISTS {table.quoted_migrations} (\n"
            "    version integer PRIMARY KEY,\n"
            "    made_at timestamptz NOT NULL DEFAULT clock_timestamp()\n);\n"
        )
    for number, sql in migrations().items():
        if number > current:
            parts.append(sql.replace("{table}", table.quoted))
            parts.append(f"INSERT INTO {table.quoted_migrations} (version) VALUES ({number});\n")  # noqa: S608 - quoted
    return "\n".join(parts)


def _lock_number(schema: str) -> int:
    digest = hashlib.blake2b(f"arvo {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _newer(version: int, table: TableName) -> MachineMemoryError:
    return MachineMemoryError(
        f"the table {str(table)!r} has version {version}, and this package knows {newest()}; "
        "run `pip install --upgrade arvo-memory-postgres`",
        retryable=False,
        outcome="failed",
    )
