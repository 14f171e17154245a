"""The package of the event store, which this command can do without."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from arvo_cli._errors import CommandError

_PACKAGE: Final = "arvo_event_store"


@contextmanager
def needing_event_store() -> Iterator[None]:
    """Say what to install if the block imports the event store, and it is missing.

    Raises:
        CommandError: It is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != _PACKAGE:
            raise
        raise CommandError(
            "`arvo store` needs the package arvo-event-store; install it by "
            "`pip install 'arvo-cli[store]'`, for PostgreSQL also 'arvo-event-store[postgres]'"
        ) from error
