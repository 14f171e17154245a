"""The store behind `memory:`."""

from contextlib import AbstractAsyncContextManager

from arvo_time.urls import BackendUrl

from ._store import MemoryEventStore


def connect_url(url: str) -> AbstractAsyncContextManager[MemoryEventStore]:
    """Return a new store of this process, gone at the end.

    Args:
        url: `memory:`; arguments of `MemoryEventStore` may follow after `?`.

    Raises:
        ValueError: The URL has more than scheme and options, or an option is unknown or has a wrong
            value.
    """
    found = BackendUrl.parse(url, connect=MemoryEventStore)
    if found.address.partition(":")[2]:
        raise ValueError(
            "`memory:` takes only options, no name; for a file, write sqlite:///events.db"
        )
    return MemoryEventStore(**found.options)
