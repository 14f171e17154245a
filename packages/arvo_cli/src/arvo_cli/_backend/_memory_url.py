"""The URL of `--memory`: how it is opened or migrated."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from arvo_cli._errors import CommandError, NotReachedError, RefusedError
from arvo_event_handler import IMachineMemory, MachineMemoryError, UnknownMemoryError
from arvo_event_handler.memory import (
    MigrationReport,
    OnMigrated,
    connect_memory,
    migrate_memory,
)

from ._concurrency import DEFAULT
from ._engine_url import read_only, reason_without_secret, scheme_of

_CAN_BE_READ_ONLY: Final = frozenset(
    ("sqlite", "redis", "rediss", "unix", "postgres", "postgresql")
)
"""The schemes whose URLs have the option `read_only`."""
_PACKAGES = {
    "sqlite": "arvo-memory-sqlite",
    "redis": "arvo-memory-redis",
    "postgres": "arvo-memory-postgres",
    "postgresql": "arvo-memory-postgres",
}


def memory_of(url: str) -> AbstractAsyncContextManager[IMachineMemory]:
    """Return the context manager of the machine memory that a URL names.

    Raises:
        CommandError: No installed package knows the scheme, or it refuses the URL.
    """
    try:
        return connect_memory(url)
    except UnknownMemoryError as error:
        raise CommandError(_unknown_memory(error)) from error
    except Exception as error:
        raise _cannot("open", url, error) from error


@asynccontextmanager
async def open_memory(url: str) -> AsyncIterator[IMachineMemory]:
    """Keep a machine memory open within the block.

    Raises:
        CommandError: As for `memory_of`, or the backend cannot be reached.
    """
    async with AsyncExitStack() as stack:
        manager = memory_of(url)
        try:
            memory = await stack.enter_async_context(manager)
        except Exception as error:
            raise _cannot("open", url, error) from error
        yield memory


async def migrated(
    url: str, *, dry_run: bool, on_migrated: OnMigrated | None = None
) -> MigrationReport:
    """Migrate the machine memory that a URL names; see `migrate_memory`.

    Raises:
        CommandError: As for `memory_of`, or the memory refuses to be migrated, or its backend fails.
    """
    try:
        return await migrate_memory(url, dry_run=dry_run, on_migrated=on_migrated)
    except UnknownMemoryError as error:
        raise CommandError(_unknown_memory(error)) from error
    except MachineMemoryError as error:
        raise _failed("migrate", url, error) from error
    except Exception as error:
        raise _cannot("migrate", url, error) from error


@asynccontextmanager
async def memory_for(doing: str, url: str) -> AsyncIterator[IMachineMemory]:
    """Keep a machine memory open within the block, for a command that looks after it.

    Args:
        doing: What the command does to it, for errors, such as "reindex".
        url: Its URL.

    Raises:
        CommandError: As for `memory_of`, or the memory fails within the block.
    """
    try:
        async with memory_of(url) as memory:
            yield memory
    except MachineMemoryError as error:
        raise _failed(doing, url, error) from error


def read_only_memory(url: str) -> str:
    """Return the URL for a command that only looks: read-only, if the memory has that option."""
    return read_only(url, schemes=_CAN_BE_READ_ONLY)


def _failed(do: str, url: str, error: MachineMemoryError) -> CommandError:
    kind = NotReachedError if error.retryable else RefusedError
    return _cannot(do, url, error, kind=kind)


def _cannot(
    do: str, url: str, error: Exception, *, kind: type[CommandError] = CommandError
) -> CommandError:
    """Return the error for a memory that cannot be used. It shows only the URL's scheme."""
    reason = reason_without_secret(error, url=url)
    return kind(f"cannot {do} the {scheme_of(url)} memory: {reason}")


def _unknown_memory(error: UnknownMemoryError) -> str:
    scheme = error.scheme
    installed = ", ".join(f"{name}:" for name in error.installed) or "none"
    if scheme is None:
        return f"--memory takes a URL, such as {DEFAULT}; installed: {installed}"
    example = f", such as {_PACKAGES[scheme]}" if scheme in _PACKAGES else ""
    return (
        f"no installed package has a machine memory for {scheme}: (installed: {installed}); "
        f"install a package that registers it{example}"
    )
