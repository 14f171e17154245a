"""The memory by URL, for `arvo run --memory postgresql://...` and `arvo memory migrate`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from arvo_event_handler.memory import MemoryUrl, MigrationReport, OnMigrated
from arvo_postgres import DSN_OPTIONS

from ._memory import PostgresMachineMemory


def connect_url(url: str) -> AbstractAsyncContextManager[PostgresMachineMemory]:
    """Open the memory that a URL names, and create its schema if it is missing.

    With `?read_only=true` the schema must exist.

    Args:
        url: A DSN. Arguments of `PostgresMachineMemory.connect`, options of asyncpg, and settings of
            the server such as `application_name` may follow after `?`.

    Raises:
        ValueError: The URL is not valid, or an option is misspelt or has a wrong value.
    """
    found = _parsed(url)
    return _migrated(found.address, **found.options)


async def migrate_url(
    url: str, *, dry_run: bool, on_migrated: OnMigrated | None
) -> MigrationReport:
    """Create the schema that a URL names, or bring it up to date.

    Args:
        url: As for `connect_url`.
        dry_run: Only say what would be done.
        on_migrated: Never called: all workflows are migrated in one transaction.

    Raises:
        ValueError: As for `connect_url`.
        MachineMemoryError: The database cannot be reached, or its schema is newer.
    """
    del on_migrated
    found = _parsed(url)
    async with PostgresMachineMemory.connect(found.address, **found.options) as memory:
        sql = await memory.migrate(dry_run=dry_run)
    if not sql:
        return MigrationReport(changed=False, summary="the tables are up to date")
    done = "would create the tables or bring" if dry_run else "created the tables or brought"
    return MigrationReport(changed=True, summary=f"{done} them up to date", sql=sql)


def _parsed(url: str) -> MemoryUrl:
    return MemoryUrl.parse(
        url, connect=PostgresMachineMemory.connect, driver=DSN_OPTIONS, passes_on=True
    )


@asynccontextmanager
async def _migrated(dsn: str, **options: Any) -> AsyncIterator[PostgresMachineMemory]:
    """Open a memory and create its schema if it is missing, unless it is opened read-only.

    Raises:
        MachineMemoryError: The database cannot be reached, or its schema is newer.
        ValueError: An option has a wrong value.
    """
    async with PostgresMachineMemory.connect(dsn, **options) as memory:
        if not options.get("read_only"):
            await memory.migrate()
        yield memory
