"""The URL of an event store: how it is opened or migrated."""

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Final

from arvo_cli._backend._engine_url import read_only, reason_without_secret, scheme_of
from arvo_cli._errors import CommandError, NotReachedError, RefusedError, one_line
from arvo_event_store import (
    EventStoreError,
    IEventStore,
    InvalidEventError,
    SchemaError,
    StoreFailure,
    UnknownStoreError,
    connect_event_store,
    migrate_event_store,
)

_CAN_BE_READ_ONLY: Final = frozenset(("sqlite",))


@asynccontextmanager
async def looked_into_store(url: str) -> AsyncIterator[IEventStore]:
    """Keep a store open within the block, for a command that only looks. It creates no file.

    Raises:
        CommandError: As for `store_for`.
    """
    async with store_for("read", read_only(url, schemes=_CAN_BE_READ_ONLY)) as store:
        yield store


@asynccontextmanager
async def store_for(doing: str, url: str) -> AsyncIterator[IEventStore]:
    """Keep a store open within the block.

    Args:
        doing: What the command does with it, for errors, such as "read".
        url: Its URL.

    Raises:
        CommandError: No installed package knows the scheme, the URL is refused, it is the store within
            one process, or the store fails or refuses a call within the block.
    """
    with store_errors(doing, url):
        async with AsyncExitStack() as stack:
            manager = _store_of(url)
            try:
                store = await stack.enter_async_context(manager)
            except EventStoreError:
                raise
            except Exception as error:
                raise CommandError(_cannot("open", url, error)) from error
            yield store


async def migrated_store(url: str, *, dry_run: bool) -> str:
    """Migrate the store that a URL names; see `migrate_event_store`.

    Raises:
        CommandError: As for `store_for`.
    """
    with store_errors("migrate", url):
        try:
            return await migrate_event_store(url, dry_run=dry_run)
        except EventStoreError:
            raise
        except Exception as error:
            raise CommandError(_cannot("migrate", url, error)) from error


@contextmanager
def store_errors(doing: str, url: str) -> Iterator[None]:
    """Raise what an event store raises within the block as an error of the command.

    Args:
        doing: What the command does with it.
        url: Its URL, whose password is not shown.

    Raises:
        CommandError: The store failed, or refused a call.
    """
    try:
        yield
    except StoreFailure as error:
        raise NotReachedError(_cannot(doing, url, error), passing=error.retryable) from error
    except (SchemaError, UnknownStoreError) as error:
        raise CommandError(_cannot(doing, url, error)) from error
    except InvalidEventError as error:
        raise CommandError(one_line(error)) from error
    except EventStoreError as error:
        raise RefusedError(one_line(error)) from error


def _store_of(url: str) -> AbstractAsyncContextManager[IEventStore]:
    """Return the context manager of the store that a URL names.

    Raises:
        UnknownStoreError: No installed package knows the scheme.
        CommandError: It refuses the URL, or it is the store within one process.
    """
    if scheme_of(url) == "memory":
        raise CommandError(
            "memory: is a store within one process, so there is nothing in it; name a file or a "
            "database, such as sqlite:///events.db"
        )
    try:
        return connect_event_store(url)
    except UnknownStoreError:
        raise
    except Exception as error:
        raise CommandError(_cannot("open", url, error)) from error


def _cannot(do: str, url: str, error: Exception) -> str:
    """Return why a store cannot be used. It shows only the URL's scheme."""
    reason = reason_without_secret(error, url=url)
    if isinstance(error, UnknownStoreError):
        return reason
    return f"cannot {do} the {scheme_of(url)} event store: {reason}"
