"""What the store raises for the errors of its client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from arvo_event_store._errors import EventStoreError, SchemaError
from arvo_event_store.stores import store_failure
from arvo_postgres import MissingSchemaError, NewerSchemaError
from arvo_time import BackendError

_PASSING: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)


def asks_for_another_try(error: BaseException | None) -> bool:
    """Return whether the database undid a statement because of others, and wants it again.

    Args:
        error: What asyncpg raised, such as the cause of a `BackendError`.
    """
    return isinstance(error, _PASSING)


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what callers of the store get, for an error of the client within a block.

    Raises:
        SchemaError: The tables are missing, older or newer.
        StoreFailure: Anything else failed.
    """
    try:
        yield
    except BackendError as error:
        raise _store_error(error) from error.__cause__


def _store_error(error: BackendError) -> EventStoreError:
    if isinstance(error, MissingSchemaError) and error.outcome == "failed":
        return SchemaError(
            f"{error}; run `await store.migrate()` or `arvo store migrate` once, for example when you "
            "deploy"
        )
    if isinstance(error, NewerSchemaError):
        return SchemaError(str(error))
    return store_failure(error)
