"""Brings a schema up to date; other processes may do so at the same time."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from arvo_time import BackendError, Outcome

from ._connections import Connections
from ._failures import MissingSchemaError, NewerSchemaError, backend_error, is_refusal
from ._rows import RunsStatements
from ._table_name import TableName

_KNOWN = """
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS has_schema, EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
) AS has_table"""


@cache
def migration_files(package: str) -> Mapping[int, str]:
    """Return the contents of the files in a package's folder `_migrations`, by number, in order.

    Args:
        package: The package, whose files have names such as `0001_machines.sql`.
    """
    folder = files(package) / "_migrations"
    found = {
        int(file.name.partition("_")[0]): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrations:
    """The migrations of one component; a schema may hold several components.

    Each component has a table of its own for its version, and components wait for each other while
    they change the schema.
    """

    table: TableName
    """The component's main table, after which the table of its version is named."""
    sql: Mapping[int, str]
    """The statements of each migration by its number, from 1, in order."""
    distribution: str
    """The distribution to upgrade if the schema is newer than these migrations."""

    @property
    def newest(self) -> int:
        """The number of the last migration."""
        return max(self.sql)

    async def check(self, runner: RunsStatements) -> None:
        """Check that the schema is the one that these migrations make.

        Raises:
            MissingSchemaError: It is missing or older.
            NewerSchemaError: It is newer.
            BackendError: The database failed; the outcome is "failed".
        """

        async def fetch(sql: str, *args: object) -> list[Any]:
            return (await runner.run("SCHEMA", sql, *args)).rows

        try:
            version = await self._version(fetch)
        except BackendError as error:
            error.outcome = "failed"  # it has only read
            raise
        if version > self.newest:
            raise self._newer(version)
        if version < self.newest:
            state = (
                "is missing" if version == 0 else f"has version {version}, older than {self.newest}"
            )
            raise MissingSchemaError(
                f"the table {str(self.table)!r} {state}", retryable=False, outcome="failed"
            )

    async def run(self, connections: Connections, *, dry_run: bool = False) -> str:
        """Run the missing migrations in one transaction; several processes may do so concurrently.

        Args:
            connections: Lends the connection to use.
            dry_run: Only return the SQL, and change nothing.

        Returns:
            The SQL that was run, or would be; empty if the schema is up to date.

        Raises:
            NewerSchemaError: The schema is newer than these migrations.
            BackendError: The database failed.
        """
        connection = None
        try:
            connection = await connections.take("MIGRATE")
            return await self._run(connection, dry_run=dry_run)
        except BackendError:
            raise
        except Exception as error:
            outcome: Outcome = "failed" if connection is None or is_refusal(error) else "unknown"
            raise backend_error(error, what="MIGRATE", outcome=outcome) from error
        finally:
            if connection is not None:
                await connections.drop(connection, lost=False)

    async def _run(self, connection: Any, *, dry_run: bool) -> str:
        async with connection.transaction():
            if not dry_run:
                number = _lock_number(self.table.schema)
                await connection.execute("SELECT pg_advisory_xact_lock($1)", number)
            current = await self._version(connection.fetch)
            if current > self.newest:
                raise self._newer(current)
            known = await connection.fetchrow(_KNOWN, self.table.schema, self.table.migrations)
            sql = self._pending(current, has_schema=known["has_schema"])
            if sql and not dry_run:
                await connection.execute(sql)
        return sql

    async def _version(self, fetch: Callable[..., Awaitable[list[Any]]]) -> int:
        """Return the number of the last migration that was run; 0 if there was none."""
        (known,) = await fetch(_KNOWN, self.table.schema, self.table.migrations)
        if not known["has_table"]:
            return 0
        (newest_made,) = await fetch(
            f"SELECT coalesce(max(version), 0) AS version FROM {self.table.quoted_migrations}"  # noqa: S608 - quoted
        )
        version: int = newest_made["version"]
        return version

    def _pending(self, current: int, *, has_schema: bool) -> str:
        parts: list[str] = []
        # With IF NOT EXISTS it would need a permission that the role may lack, even if it exists.
        if not has_schema:
            parts.append(f"CREATE SCHEMA {self.table.quoted_schema};\n")
        if current == 0:
            parts.append(
                f"CREATE TABLE IF NOT EXISTS {self.table.quoted_migrations} (\n"
                "    version integer PRIMARY KEY,\n"
                "    made_at timestamptz NOT NULL DEFAULT clock_timestamp()\n);\n"
            )
        for number, sql in self.sql.items():
            if number > current:
                parts.append(sql)
                parts.append(
                    f"INSERT INTO {self.table.quoted_migrations} (version) VALUES ({number});\n"  # noqa: S608 - quoted
                )
        return "\n".join(parts)

    def _newer(self, version: int) -> NewerSchemaError:
        return NewerSchemaError(
            f"the table {str(self.table)!r} has version {version}, but this package supports at most "
            f"{self.newest}; run `pip install --upgrade {self.distribution}`",
            retryable=False,
            outcome="failed",
        )


def _lock_number(schema: str) -> int:
    digest = hashlib.blake2b(f"arvo {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
