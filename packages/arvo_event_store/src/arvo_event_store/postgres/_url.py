"""The store behind `postgresql:`."""

from contextlib import AbstractAsyncContextManager

from arvo_postgres import DSN_OPTIONS
from arvo_time.urls import BackendUrl

from ._store import PostgresEventStore


def connect_url(url: str) -> AbstractAsyncContextManager[PostgresEventStore]:
    """Open the store that a URL names, whose tables must exist.

    Args:
        url: A DSN. Arguments of `PostgresEventStore.connect`, options of asyncpg, and settings of the
            server such as `application_name` may follow after `?`.

    Raises:
        ValueError: The URL is not valid, or an option is misspelt or has a wrong value.
    """
    found = BackendUrl.parse(
        url, connect=PostgresEventStore.connect, driver=DSN_OPTIONS, passes_on=True
    )
    return PostgresEventStore.connect(found.address, **found.options)


async def migrate_url(url: str, *, dry_run: bool) -> str:
    """Create the tables that a URL names, or bring them up to date.

    Args:
        url: As for `connect_url`.
        dry_run: Only return the SQL.

    Raises:
        ValueError: As for `connect_url`.
        SchemaError: The tables are newer than this package.
        StoreFailure: The database failed.
    """
    async with connect_url(url) as store:
        return await store.migrate(dry_run=dry_run)
