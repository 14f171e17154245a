"""Machine memories by URL; packages register their schemes as entry points."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Final
from urllib.parse import unquote

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import IMachineMemory, MemoryUrl

from ._errors import CommandError, one_line

GROUP: Final = "arvo.machine_memory"
"""The entry-point group: a URL scheme names a callable that takes the URL and returns an async
context manager of an `IMachineMemory`."""

DEFAULT: Final = "memory:"
"""The memory that is always there."""

USUAL_CONCURRENCY: Final = 16
"""How many workflows run at the same time over a memory of which nothing is known."""
MEASURED_CONCURRENCY: Final = {
    "memory": 64,
    "sqlite": 32,
    "redis": 32,
    "rediss": 32,
    "unix": 32,
    "postgres": 16,
    "postgresql": 16,
}
"""How many run at the same time over each memory that Arvo brings.

The smallest of 16, 32 and 64 at which the order example comes within a tenth of its most events
per second; `benchmarks/RESULTS.md` has the figures.
"""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}):")
_SHORTEST_SECRET: Final = 4
_PACKAGES = {
    "sqlite": "arvo-memory-sqlite",
    "redis": "arvo-memory-redis",
    "postgres": "arvo-memory-postgres",
    "postgresql": "arvo-memory-postgres",
}


def default_concurrency(url: str) -> int:
    """Return how many workflows run at the same time over a memory unless the user says so.

    Raises:
        CommandError: It is no URL.
    """
    return MEASURED_CONCURRENCY.get(_scheme(url), USUAL_CONCURRENCY)


def memory_of(url: str) -> AbstractAsyncContextManager[IMachineMemory]:
    """Return what opens and closes the machine memory that a URL names.

    Raises:
        CommandError: No installed package knows the scheme, or it refuses the URL.
    """
    scheme = _scheme(url)
    installed = _installed()
    if scheme not in installed:
        raise CommandError(_unknown(scheme))
    try:
        connect: Callable[[str], AbstractAsyncContextManager[IMachineMemory]]
        connect = installed[scheme].load()
        return connect(url)
    except Exception as error:
        raise _cannot_open(url, error) from error


@asynccontextmanager
async def open_memory(url: str) -> AsyncIterator[IMachineMemory]:
    """Open a machine memory for as long as the block lasts.

    Raises:
        CommandError: As `memory_of`, or the backend cannot be reached.
    """
    async with AsyncExitStack() as stack:
        manager = memory_of(url)
        try:
            memory = await stack.enter_async_context(manager)
        except Exception as error:
            raise _cannot_open(url, error) from error
        yield memory


@asynccontextmanager
async def process_memory(url: str) -> AsyncIterator[IMachineMemory]:
    """Open the memory behind `memory:`, which forgets everything when the process ends.

    Raises:
        ValueError: The URL names something, or an option is unknown or has no such value.
    """
    found = MemoryUrl.parse(url, connect=ConcurrentMachineMemory)
    if found.address.partition(":")[2]:
        raise ValueError("write `memory:` and nothing else but options; there is no place to name")
    yield ConcurrentMachineMemory(**found.options)


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    if found is None:
        raise CommandError(f"--memory takes a URL, such as {DEFAULT}; installed: {_names()}")
    return found[1].lower()


def _cannot_open(url: str, error: Exception) -> CommandError:
    """Say why a memory cannot be used. Of the URL only the scheme is shown."""
    reason = one_line(error)
    user = url.partition("//")[2].rpartition("@")[0]
    secret = user.partition(":")[2]
    if len(secret) >= _SHORTEST_SECRET:  # whoever wrote the memory may have been less careful
        reason = reason.replace(secret, "***").replace(unquote(secret), "***")
    return CommandError(f"cannot open the {_scheme(url)} memory: {reason}")


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _names() -> str:
    return ", ".join(f"{name}:" for name in sorted(_installed())) or "none"


def _unknown(scheme: str) -> str:
    example = f", such as {_PACKAGES[scheme]}" if scheme in _PACKAGES else ""
    return (
        f"no installed package has a machine memory for {scheme}: (installed: {_names()}); "
        f"install a package that registers it{example}"
    )
