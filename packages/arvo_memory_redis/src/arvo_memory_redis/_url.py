"""The memory by URL, for `arvo run --memory`."""

from contextlib import AbstractAsyncContextManager

from arvo_event_handler.memory import MemoryUrl
from arvo_redis import URL_OPTIONS, check_place

from ._memory import RedisMachineMemory


def connect_url(url: str) -> AbstractAsyncContextManager[RedisMachineMemory]:
    """Return what connects to `redis://`, `rediss://` or `unix://` and closes at the end.

    Args:
        url: Behind `?` may stand the arguments of `RedisMachineMemory.connect` and what redis-py
            reads. `socket_timeout` may lack its unit, as redis-py has it in seconds.

    Raises:
        ValueError: The URL is none, or an option is unknown or has no such value.
    """
    found = MemoryUrl.parse(
        url,
        connect=RedisMachineMemory.connect,
        driver=URL_OPTIONS[url.partition(":")[0].lower()],
        seconds={"socket_timeout"},
    )
    check_place(found.address)
    return RedisMachineMemory.connect(found.address, **found.options)
