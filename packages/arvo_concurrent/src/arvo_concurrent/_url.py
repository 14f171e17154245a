"""The memory behind `arvo run --memory memory:`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from arvo_event_handler.memory import MemoryUrl

from ._memory import ConcurrentMachineMemory


def connect_url(url: str) -> AbstractAsyncContextManager[ConcurrentMachineMemory]:
    """Return what opens the memory behind `memory:`, which forgets everything with its process.

    Args:
        url: Behind `?` may stand the arguments of `ConcurrentMachineMemory`.

    Raises:
        ValueError: The URL names something, or an option is unknown or has no such value.
    """
    found = MemoryUrl.parse(url, connect=ConcurrentMachineMemory)
    if found.address.partition(":")[2]:
        raise ValueError("write `memory:` and nothing else but options; there is no place to name")
    return _new(**found.options)


@asynccontextmanager
async def _new(**options: Any) -> AsyncIterator[ConcurrentMachineMemory]:
    yield ConcurrentMachineMemory(**options)
