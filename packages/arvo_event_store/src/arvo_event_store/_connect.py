"""Opens and migrates event stores by URL; packages register their schemes as entry points."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Protocol

from ._errors import UnknownStoreError
from ._store import IEventStore

_GROUP: Final = "arvo.event_store"
_MIGRATIONS: Final = "arvo.event_store_migration"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}):")


class MigrateStore(Protocol):
    """What a package registers so that `migrate_event_store` can migrate its stores."""

    async def __call__(self, url: str, *, dry_run: bool) -> str:
        """Migrate the store of a URL; see `migrate_event_store`."""
        ...


def connect_event_store(url: str) -> AbstractAsyncContextManager[IEventStore]:
    """Return a context manager that opens the event store of a URL, and closes it at the end.

    * `memory:` is a store of this process, gone at the end;
    * `sqlite:///events.db` is a file in the working directory, `sqlite:////var/lib/events.db` one
      anywhere; a new one is created, and an older one brought up to date;
    * `postgresql://user@host/database` or `postgres://...` is a database whose tables exist: see
      `migrate_event_store`. It needs the extra `[postgres]`.

    Options follow `?`: the keyword arguments of the store's own `connect`, as in
    `sqlite:///events.db?read_only=true` or `postgresql://host/shop?schema=bank&pool_size=20`.

    Another package offers a store by an entry point in the group `arvo.event_store`: its name is the
    scheme of the URL in lower case, and it names a function that takes the whole URL and returns an
    async context manager of an `IEventStore`.

    Args:
        url: Where the store is, and how to use it.

    Raises:
        UnknownStoreError: It is not a URL, or no installed package knows its scheme.
        ValueError: The URL is refused: it names no file, or an option is unknown or has a wrong value.
        ImportError: What the scheme needs is not installed.
        AttributeError: The package that knows the scheme lacks the function that its entry point names.

    Example:
        >>> async def main() -> None:
        ...     async with connect_event_store("memory:") as store:
        ...         await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
        ...         print([event.data async for event in store.read("counter-a")])
        >>> asyncio.run(main())
        [{'amount': 7}]
    """
    connect: Callable[[str], AbstractAsyncContextManager[IEventStore]]
    connect = _registered(url).load()
    return connect(url)


async def migrate_event_store(url: str, *, dry_run: bool = False) -> str:
    """Create the tables of the event store of a URL, or bring them up to date.

    Several processes may do so concurrently. A package offers this by an entry point in the group
    `arvo.event_store_migration`, which names a `MigrateStore`. A store whose package offers none, as
    `memory:`, has nothing to do.

    Args:
        url: As for `connect_event_store`. A file must exist: opening one creates it.
        dry_run: Only return the SQL, and change nothing.

    Returns:
        The SQL that was run, or would be; empty if the tables are up to date.

    Raises:
        UnknownStoreError: It is not a URL, or no installed package knows its scheme.
        ValueError: The URL is refused, or there is no such file.
        ImportError: What the scheme needs is not installed.
        SchemaError: The tables are newer than this package.
        StoreFailure: The database failed.

    Example:
        >>> asyncio.run(migrate_event_store("memory:"))
        ''
    """
    scheme = _registered(url).name
    for entry in entry_points(group=_MIGRATIONS, name=scheme):
        migrate: MigrateStore = entry.load()
        return await migrate(url, dry_run=dry_run)
    return ""


def _registered(url: str) -> EntryPoint:
    """Return the entry point that is named like the scheme of a store's URL.

    Raises:
        UnknownStoreError: It is not a URL, or no installed package knows its scheme.
    """
    found = _SCHEME.match(url)
    scheme = None if found is None else found[1].lower()
    installed = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if scheme not in installed:
        raise UnknownStoreError(scheme=scheme, installed=installed)
    return installed[scheme]
