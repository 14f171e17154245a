"""The memory by URL, for `arvo run --memory sqlite:...` and `arvo memory migrate`."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from sqlite3 import Connection
from typing import Any
from urllib.parse import unquote, urlsplit

from arvo_event_handler.memory import (
    MemoryUrl,
    MigrationReport,
    OnMigrated,
    machine_memory_error,
)
from arvo_sqlite import IN_MEMORY, Database
from arvo_time import BackendError

from ._memory import BUSY_TIMEOUT, SqliteMachineMemory
from ._schema import MACHINE

_FORMS = "write sqlite:///state.db for a relative path or sqlite:////var/lib/state.db for an absolute one"


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
    if not os.path.exists(path):  # noqa: ASYNC240 - as quick as opening it
        raise ValueError(f"there is no file {path}; the first worker that opens it creates it")
    database = Database(
        path=os.path.abspath(path),  # noqa: ASYNC240 - looks at no file
        components=(MACHINE,),
        synchronous="full",
        busy_timeout=BUSY_TIMEOUT,
        read_only=True,
    )
    try:
        versions = await asyncio.to_thread(database.versions)
    except BackendError as error:
        raise machine_memory_error(error) from error.__cause__
    current, newest = versions[MACHINE.name], len(MACHINE.migrations)
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
        sql="".join(_shown(step) for steps in MACHINE.migrations[current:] for step in steps),
    )


def _shown(step: str | Callable[[Connection], None]) -> str:
    return f"{step.strip()};\n" if isinstance(step, str) else f"-- {step.__doc__}\n"


def _parsed(url: str) -> tuple[str, Mapping[str, Any]]:
    found = MemoryUrl.parse(url, connect=SqliteMachineMemory.connect)
    parts = urlsplit(found.address)
    if IN_MEMORY in unquote(url):
        raise ValueError("a database without a file keeps nothing; for that, write memory:")
    if parts.netloc:
        raise ValueError(f"a file has no host, but two slashes begin one; {_FORMS}")
    path = unquote(parts.path).removeprefix("/")
    if not path or path.endswith("/") or not parts.path.startswith("/"):
        raise ValueError(f"the URL names no file; {_FORMS}")
    return path, found.options
