"""Machine memories by URL; packages register their schemes as entry points."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Final
from urllib.parse import urlsplit

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import IMachineMemory

from ._errors import CommandError, one_line

GROUP: Final = "arvo.machine_memory"
"""The entry-point group: a URL scheme names a callable that takes the URL and returns an async
context manager of an `IMachineMemory`."""

DEFAULT: Final = "memory:"
"""The memory that is always there."""

_PACKAGES = {
    "sqlite": "arvo-memory-sqlite",
    "redis": "arvo-memory-redis",
    "postgres": "arvo-memory-postgres",
    "postgresql": "arvo-memory-postgres",
}


def memory_of(url: str) -> AbstractAsyncContextManager[IMachineMemory]:
    """Return what opens and closes the machine memory that a URL names.

    Raises:
        CommandError: No installed package knows the scheme, or it refuses the URL.
    """
    # Only the scheme is ever shown: the rest may hold a password.
    scheme = _scheme(url)
    installed = _installed()
    if scheme not in installed:
        raise CommandError(_unknown(scheme))
    try:
        connect: Callable[[str], AbstractAsyncContextManager[IMachineMemory]]
        connect = installed[scheme].load()
        return connect(url)
    except Exception as error:
        raise CommandError(f"cannot open the {scheme} memory: {one_line(error)}") from error


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
            raise CommandError(
                f"cannot open the {_scheme(url)} memory: {one_line(error)}"
            ) from error
        yield memory


@asynccontextmanager
async def process_memory(url: str) -> AsyncIterator[IMachineMemory]:
    """Open the memory behind `memory:`, which forgets everything when the process ends.

    Raises:
        ValueError: The URL says more than its scheme; there is nothing to configure.
    """
    if url.partition(":")[2]:
        raise ValueError("write `memory:` and nothing else; there is nothing to choose")
    yield ConcurrentMachineMemory()


def _scheme(url: str) -> str:
    scheme = urlsplit(url).scheme
    if not scheme:
        raise CommandError(f"--memory takes a URL, such as {DEFAULT}; installed: {_names()}")
    return scheme


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
