"""Lines of a file or stream, read a piece at a time and without blocking the event loop."""

import asyncio
import codecs
import os
import stat
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from ._errors import CommandError

STDIN: Final = "-"
"""The name of standard input."""
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the input that is not blank."""

    number: int
    """Counted from 1, blank lines included."""
    content: bytes
    """The line without surrounding white space."""
    end: int
    """How many bytes of the input end with this line."""

    @property
    def text(self) -> str:
        """The line as text; bytes that are not UTF-8 are shown as escapes."""
        return self.content.decode("utf-8", "backslashreplace")


class LineReader:
    """Hands out lines one by one; holds one piece of the input in memory, not the whole.

    Blank lines are skipped. A byte order mark at the start is dropped.

    Args:
        name: A path, or "-" for standard input.

    Raises:
        CommandError: The input cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self._title = "standard input" if name == STDIN else name
        try:
            self._descriptor = _stdin() if name == STDIN else _open(name)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise CommandError(f"cannot read {self._title}: {error.strerror or error}") from error
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        """The input's length in bytes; None when only its end will tell."""
        self.blank = 0
        """How many blank lines were skipped so far."""
        self._pump = _Pump(self._descriptor, owned=name != STDIN)
        self._awaited: asyncio.Future[bytes] | None = None
        self._lines: deque[bytes] = deque()
        self._unfinished: list[bytes] = []
        self._ended = False
        self.number = 0
        """The number of the line handed out last; 0 before the first."""
        self._position = 0

    async def next(self) -> Line | None:
        """Return the next line; None at the end. Cancelled, it loses nothing.

        Raises:
            CommandError: The input cannot be read any further.
        """
        while True:
            while self._lines:
                line = self._take(self._lines.popleft())
                if line is not None:
                    return line
            if self._ended:
                return None
            await self._read()

    async def skip_rest(self) -> tuple[int, bool]:
        """Count the lines not yet handed out, as far as that needs no waiting.

        Returns:
            How many there are, and whether those are all: a stream may go on behind them.
        """
        count = 0
        while self._lines or (self.size is not None and not self._ended):
            if not self._lines:
                await self._read()
            elif self._take(self._lines.popleft()) is not None:
                count += 1
        return count, self._ended

    def close(self) -> None:
        """Stop reading. Harmless when called again."""
        self._pump.stop()

    async def _read(self) -> None:
        # Shielded: a piece that arrives after a cancellation is still the next one.
        self._awaited = self._awaited or self._pump.read()
        try:
            piece = await asyncio.shield(self._awaited)
        except OSError as error:
            raise CommandError(f"cannot read {self._title}: {error.strerror or error}") from error
        self._awaited = None
        first, *others = piece.split(b"\n")
        self._unfinished.append(first)
        self._ended = not piece
        if others or self._ended:
            self._lines.append(b"".join(self._unfinished))
            self._unfinished = others[-1:]
            self._lines.extend(others[:-1])

    def _take(self, raw: bytes) -> Line | None:
        self.number += 1
        self._position += len(raw) + 1
        if self.number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        content = raw.strip()
        if content:
            return Line(number=self.number, content=content, end=self._position)
        if not (self._ended and not self._lines):  # what follows the last line break is no line
            self.blank += 1
        return None


class _Pump:
    """Reads from a descriptor in a thread that a blocked read cannot keep from ending.

    The threads of an executor are waited for when the process ends; this one is not.
    """

    def __init__(self, descriptor: int, *, owned: bool) -> None:
        self._descriptor = descriptor
        self._owned = owned
        self._requests: SimpleQueue[asyncio.Future[bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="arvo-input", daemon=True)
        self._thread.start()

    def read(self) -> asyncio.Future[bytes]:
        """Ask for the next piece; empty at the end."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests.put(future)
        return future

    def stop(self) -> None:
        self._requests.put(None)

    def _work(self) -> None:
        while (future := self._requests.get()) is not None:
            piece: bytes | OSError
            try:
                piece = os.read(self._descriptor, _CHUNK)
            except OSError as error:
                piece = error
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, piece)
            except RuntimeError:  # the loop was closed while the read waited
                break
        if self._owned:
            os.close(self._descriptor)


def _settle(future: asyncio.Future[bytes], piece: bytes | OSError) -> None:
    if future.done():
        return
    if isinstance(piece, OSError):
        future.set_exception(piece)
    else:
        future.set_result(piece)


def _stdin() -> int:
    if sys.stdin is None:
        raise OSError(0, "it is closed")
    return sys.stdin.fileno()


def _open(name: str) -> int:
    if Path(name).is_dir():
        raise IsADirectoryError(0, "it is a folder")
    return os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
