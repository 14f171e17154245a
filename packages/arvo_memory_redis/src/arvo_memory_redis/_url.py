"""The memory by URL, for `arvo run --memory`."""

from contextlib import AbstractAsyncContextManager

from ._memory import RedisMachineMemory


def connect_url(url: str) -> AbstractAsyncContextManager[RedisMachineMemory]:
    """Return what connects to `redis://`, `rediss://` or `unix://` and closes at the end."""
    return RedisMachineMemory.connect(url)
