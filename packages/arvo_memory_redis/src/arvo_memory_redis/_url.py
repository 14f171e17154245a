"""The memory by URL, for `arvo run --memory` and `arvo memory migrate`."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from arvo_event_handler.memory import MemoryUrl, MigrationReport, OnMigrated
from arvo_redis import URL_OPTIONS, Server, check_place
from arvo_time import BackendError

from ._failure import memory_error
from ._memory import RedisMachineMemory

_OF_THE_CONNECTION: Final = frozenset(
    ("transport", "max_connections", "socket_timeout", "read_only")
)


def connect_url(url: str) -> AbstractAsyncContextManager[RedisMachineMemory]:
    """Open the memory that a URL names.

    Args:
        url: A `redis://`, `rediss://` or `unix://` URL. Arguments of `RedisMachineMemory.connect`
            and options of redis-py may follow after `?`. `socket_timeout` may lack its unit: it is
            then in seconds, as in redis-py.

    Raises:
        ValueError: The URL is not valid, or an option is unknown or has a wrong value.
    """
    found = _parsed(url)
    return RedisMachineMemory.connect(found.address, **found.options)


async def migrate_url(
    url: str, *, dry_run: bool, on_migrated: OnMigrated | None
) -> MigrationReport:
    """Migrate the memory that a URL names; see `RedisMachineMemory.migrate`.

    Args:
        url: As for `connect_url`.
        dry_run: Only say what would be done.
        on_migrated: Called as the migration proceeds.

    Raises:
        ValueError: As for `connect_url`.
        MachineMemoryError: The server cannot be reached, or the migration fails.
    """
    found = _parsed(url)
    connection, memory = {}, {}
    for name, value in found.options.items():
        if name in _OF_THE_CONNECTION:
            connection[name] = value
        else:
            memory[name] = value
    try:
        async with Server.connect(found.address, **connection) as server:
            opened = RedisMachineMemory(server, **memory)
            return await opened.migrate(dry_run=dry_run, on_migrated=on_migrated)
    except BackendError as error:
        raise memory_error(error) from error.__cause__


def _parsed(url: str) -> MemoryUrl:
    found = MemoryUrl.parse(
        url,
        connect=RedisMachineMemory.connect,
        driver=URL_OPTIONS[url.partition(":")[0].lower()],
        seconds={"socket_timeout"},
    )
    check_place(found.address)
    return found
