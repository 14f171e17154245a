"""How the keys of a prefix are named, and the mark on the server that says so."""

import asyncio
from contextlib import aclosing
from typing import Final

from arvo_event_handler import MachineMemoryError
from arvo_redis import Server

from ._keys import Keys

LAYOUT: Final = b"2"
"""The layout of this version: workflows' keys begin with a hash tag. The one before had no mark."""
_FIELD: Final = "version"


class Layout:
    """Checks once that the keys of a prefix are named as this version names them."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._checking = asyncio.Lock()
        self.checked = False
        """Whether nothing has to be checked any more."""

    async def check(self) -> None:
        """Check it by the mark; without one, look for keys of the layout before, and leave a mark.

        Read-only, no mark is left.

        Raises:
            MachineMemoryError: There are keys of another layout, or the server failed.
        """
        async with self._checking:
            if self.checked:
                return
            if not await is_marked(self._server, self._keys):
                if await self._has_earlier_keys():
                    raise _earlier(self._keys)
                if not self._server.read_only:
                    await mark(self._server, self._keys)
            self.checked = True

    async def _has_earlier_keys(self) -> bool:
        async with aclosing(self._server.keys(self._keys.earlier_machines)) as found:
            async for key in found:
                if self._keys.moved(key) is not None:
                    return True
        return False


async def is_marked(server: Server, keys: Keys) -> bool:
    """Return whether the keys have the mark of this layout.

    Raises:
        MachineMemoryError: The mark is of another layout, or the server failed.
    """
    found: bytes | None = await server.ask("HGET", keys.layout, _FIELD)
    if found not in {None, LAYOUT}:
        raise _refused(
            f"the keys with the prefix {keys.prefix!r} have the layout {found!r:.40}, which this "
            "version does not know; run `pip install --upgrade arvo-memory-redis`"
        )
    return found is not None


async def mark(server: Server, keys: Keys) -> None:
    """Leave the mark of this layout.

    Raises:
        MachineMemoryError: The server failed.
    """
    await server.ask("HSET", keys.layout, _FIELD, LAYOUT)


def _earlier(keys: Keys) -> MachineMemoryError:
    return _refused(
        f"the workflows with the prefix {keys.prefix!r} are under keys of the version before; "
        "stop all workers, then run `arvo memory migrate --memory URL` with the URL of this memory, "
        "?prefix= included"
    )


def _refused(message: str) -> MachineMemoryError:
    return MachineMemoryError(message, retryable=False, outcome="failed")
