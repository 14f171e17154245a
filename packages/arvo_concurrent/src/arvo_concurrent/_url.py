"""The memory behind `arvo run --memory memory:`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from arvo_event_handler.memory import MemoryUrl

from ._memory import ConcurrentMachineMemory


def connect_url(url: str) -> AbstractAsyncContextManager[ConcurrentMachineMemory]:
    """Return a context manager of the memory behind `memory:`, which is lost when the process ends.

    Args:
        url: `memory:`; arguments of `ConcurrentMachineMemory` may follow a `?`.

    Raises:
        ValueError: The URL has more than scheme and options, or an option is unknown or invalid.
    """
    found = MemoryUrl.parse(url, connect=ConcurrentMachineMemory)
    if found.address.partition(":")[2]:
        raise ValueError(
            "`memory:` takes only options, no name; write `memory:` or `memory:?ttl=5s`"
        )
    return _opened(**found.options)


@asynccontextmanager
async def _opened(**options: Any) -> AsyncIterator[ConcurrentMachineMemory]:
    yield ConcurrentMachineMemory(**options)
