"""What the store raises for the errors of its client."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

import asyncpg
from typing_extensions import override

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


def store_errors() -> AbstractContextManager[None]:
    """Raise what callers of the store get, for an error of the client within a block.

    Raises:
        SchemaError: The tables are missing, older or newer.
        StoreFailure: Anything else failed.
    """
    return _STORE_ERRORS


# A generator would take as long as the checks of an event.
class _StoreErrors(AbstractContextManager[None]):
    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, BackendError):
            raise _store_error(error) from error.__cause__


_STORE_ERRORS: Final = _StoreErrors()


def _store_error(error: BackendError) -> EventStoreError:
    if isinstance(error, MissingSchemaError) and error.outcome == "failed":
        return SchemaError(
            f"{error}; run `await store.migrate()` or `arvo store migrate` once, for example when you "
            "deploy"
        )
    if isinstance(error, NewerSchemaError):
        return SchemaError(str(error))
    return store_failure(error)
