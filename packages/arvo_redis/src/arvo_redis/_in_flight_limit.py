"""Limits how much may be in flight to a server."""

import asyncio
from collections import deque
from typing import Final


class InFlightLimit:
    """Bounds the commands and bytes that were sent and not answered yet.

    A command larger than all the bytes allowed is sent alone. Waiting callers are served in order.

    Args:
        commands: How many commands may be in flight, 1 or more.
        n_bytes: How many bytes of requests may be in flight, 1 or more.
    """

    def __init__(self, *, commands: int, n_bytes: int) -> None:
        self._most_commands: Final = commands
        self._most_bytes: Final = n_bytes
        self._commands = 0
        self._bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def commands(self) -> int:
        """How many commands are in flight."""
        return self._commands

    def try_enter(self, n_bytes: int) -> bool:
        """Take room for a command if there is some and no caller waits; return whether it did."""
        if self._waiting or not self._has_room(n_bytes):
            return False
        self._take(n_bytes)
        return True

    async def enter(self, n_bytes: int) -> None:
        """Take room for a command as soon as there is some; a cancelled caller takes none."""
        if self.try_enter(n_bytes):
            return
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((room, n_bytes))
        try:
            await room
        except asyncio.CancelledError:
            if room.cancelled():
                self._let_in()  # it may have been the one that the others waited behind
            else:
                self.leave(1, n_bytes)
            raise

    def leave(self, commands: int, n_bytes: int) -> None:
        """Give room back, to waiting callers first."""
        self._commands -= commands
        self._bytes -= n_bytes
        if self._waiting:
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            room, n_bytes = self._waiting[0]
            if not room.cancelled():
                if not self._has_room(n_bytes):
                    return
                self._take(n_bytes)
                room.set_result(None)
            self._waiting.popleft()

    def _has_room(self, n_bytes: int) -> bool:
        if self._commands == 0:
            return True
        return self._commands < self._most_commands and self._bytes + n_bytes <= self._most_bytes

    def _take(self, n_bytes: int) -> None:
        self._commands += 1
        self._bytes += n_bytes
