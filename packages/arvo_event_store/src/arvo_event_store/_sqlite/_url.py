"""The store behind `sqlite:`."""

from contextlib import AbstractAsyncContextManager

from arvo_event_store._errors import SchemaError
from arvo_event_store.stores import store_failure
from arvo_sqlite import NewerSchemaError, PendingMigration, path_of
from arvo_time import BackendError
from arvo_time.urls import BackendUrl

from ._store import BUSY_TIMEOUT, SqliteEventStore


def connect_url(url: str) -> AbstractAsyncContextManager[SqliteEventStore]:
    """Open the store that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`; percent escapes are
            decoded. Arguments of `SqliteEventStore.connect` may follow after `?`.

    Raises:
        ValueError: The URL names no file, or an option is unknown or has a wrong value.
    """
    found = _parsed(url)
    return SqliteEventStore.connect(path_of(found.address), **found.options)


async def migrate_url(url: str, *, dry_run: bool) -> str:
    """Bring the tables of the file that a URL names up to date, which opening it does as well.

    Args:
        url: As for `connect_url`.
        dry_run: Only return the SQL.

    Raises:
        ValueError: As for `connect_url`, or there is no such file.
        SchemaError: The tables are newer than this package.
        StoreFailure: The file cannot be used, or is a database of another program.
    """
    found = _parsed(url)
    path = path_of(found.address)
    try:
        pending = await PendingMigration.of(
            path, component=SqliteEventStore.component, busy_timeout=BUSY_TIMEOUT
        )
    except NewerSchemaError as error:
        raise SchemaError(str(error)) from error.__cause__
    except BackendError as error:
        raise store_failure(error) from error.__cause__
    if pending.version < pending.newest and not dry_run:
        async with SqliteEventStore.connect(path, **found.options):
            pass
    return pending.sql


def _parsed(url: str) -> BackendUrl:
    return BackendUrl.parse(url, connect=SqliteEventStore.connect)
