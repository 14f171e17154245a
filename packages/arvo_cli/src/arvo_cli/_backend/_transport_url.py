"""The URL of `--transport`: how it is opened."""

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)

from arvo_cli._errors import CommandError, NotReachedError, one_line
from arvo_event_handler import UnroutableError
from arvo_transport import (
    IEventTransport,
    TopicConflictError,
    TransportError,
    UnknownTopicError,
    UnknownTransportError,
    connect_transport,
)

from ._engine_url import reason_without_secret, scheme_of


def transport_of(url: str) -> AbstractAsyncContextManager[IEventTransport]:
    """Return the context manager of the transport that a URL names.

    Raises:
        CommandError: No installed package knows the scheme, it refuses the URL, or it is the transport
            within one process.
    """
    if scheme_of(url) == "memory":
        raise CommandError(
            "--transport memory: carries events within one process, so no other would see them; "
            "name an engine, such as redis://localhost"
        )
    try:
        return connect_transport(url)
    except UnknownTransportError as error:
        raise CommandError(f"--transport: {one_line(error)}") from error
    except Exception as error:
        raise CommandError(_cannot("open", url, error)) from error


@asynccontextmanager
async def transport_for(doing: str, url: str) -> AsyncIterator[IEventTransport]:
    """Keep a transport open within the block.

    Args:
        doing: What the command does with it, for errors, such as "use".
        url: Its URL.

    Raises:
        CommandError: As for `transport_of`, or the engine fails or refuses a call within the block.
    """
    with engine_errors(doing, url):
        async with AsyncExitStack() as stack:
            manager = transport_of(url)
            try:
                transport = await stack.enter_async_context(manager)
            except TransportError:
                raise
            except Exception as error:
                raise CommandError(_cannot("open", url, error)) from error
            yield transport


@contextmanager
def engine_errors(doing: str, url: str) -> Iterator[None]:
    """Raise what a transport raises within the block as an error of the command.

    Args:
        doing: What the command does with it.
        url: Its URL, whose password is not shown.

    Raises:
        CommandError: The engine failed, or refused a call.
    """
    try:
        yield
    except TransportError as error:
        raise NotReachedError(_cannot(doing, url, error), passing=error.retryable) from error
    except (UnknownTopicError, TopicConflictError, UnroutableError) as error:
        raise CommandError(one_line(error)) from error


def _cannot(do: str, url: str, error: Exception) -> str:
    """Return why a transport cannot be used. It shows only the URL's scheme."""
    return f"cannot {do} the {scheme_of(url)} transport: {reason_without_secret(error, url=url)}"
