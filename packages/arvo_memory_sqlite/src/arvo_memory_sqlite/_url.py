"""The memory by URL, for `arvo run --memory sqlite:...` and `arvo memory migrate`."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from arvo_event_handler.memory import (
    MemoryUrl,
    MigrationReport,
    OnMigrated,
    machine_memory_error,
)
from arvo_sqlite import PendingMigration, path_of
from arvo_time import BackendError

from ._memory import BUSY_TIMEOUT, SqliteMachineMemory
from ._schema import MACHINE


def connect_url(url: str) -> AbstractAsyncContextManager[SqliteMachineMemory]:
    """Open the memory that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`; percent escapes are
            decoded. Arguments of `SqliteMachineMemory.connect` may follow after `?`.

    Raises:
        ValueError: The URL names no file, or an option is unknown or has a wrong value.
            `:memory:` is refused, as `--memory memory:` is the clear way to keep nothing.
    """
    path, options = _parsed(url)
    return SqliteMachineMemory.connect(path, **options)


async def migrate_url(
    url: str, *, dry_run: bool, on_migrated: OnMigrated | None
) -> MigrationReport:
    """Bring the tables of the file that a URL names up to date, which opening it does as well.

    Args:
        url: As for `connect_url`.
        dry_run: Only say what would be done.
        on_migrated: Never called: all workflows are migrated in one transaction.

    Raises:
        ValueError: As for `connect_url`, or there is no file.
        MachineMemoryError: The file cannot be used, or was made by a newer version.
    """
    del on_migrated
    path, options = _parsed(url)
    try:
        pending = await PendingMigration.of(path, component=MACHINE, busy_timeout=BUSY_TIMEOUT)
    except BackendError as error:
        raise machine_memory_error(error) from error.__cause__
    current, newest = pending.version, pending.newest
    if current == newest:
        return MigrationReport(
            changed=False, summary=f"the tables have version {newest}, the newest"
        )
    if not dry_run:
        async with SqliteMachineMemory.connect(path, **options):
            pass
    done = "would bring" if dry_run else "brought"
    return MigrationReport(
        changed=True,
        summary=f"{done} the tables from version {current} to version {newest}",
        sql=pending.sql,
    )


def _parsed(url: str) -> tuple[str, Mapping[str, Any]]:
    found = MemoryUrl.parse(url, connect=SqliteMachineMemory.connect)
    return path_of(found.address), found.options
