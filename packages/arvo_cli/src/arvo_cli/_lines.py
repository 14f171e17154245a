"""Lines of the input, one by one."""

import codecs
from collections import deque
from dataclasses import dataclass
from typing import Final

from ._errors import CommandError
from ._text_input import TextInput

MAX_BYTES: Final = 8 * 2**20
"""How long a line may be unless the user says otherwise."""
_EXCERPT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the input that is not blank."""

    number: int
    """Counted from 1, blank lines included."""
    content: bytes
    """The line without surrounding white space; only its beginning when it is too long."""
    excess: int = 0
    """By how many bytes it is too long; 0 for a line that is whole."""
    end: int
    """How many bytes of the input end with this line."""

    @property
    def text(self) -> str:
        """The line as text; bytes that are not UTF-8 are shown as escapes."""
        return self.content.decode("utf-8", "backslashreplace")


class LineReader:
    """Hands out lines one by one; holds one line and one piece of the input, not the whole.

    Blank lines are skipped. A byte order mark at the start is dropped.

    Args:
        name: A path, or "-" for standard input.
        max_bytes: How long a line may be. Of a longer one only the beginning is kept.

    Raises:
        CommandError: The input cannot be opened.
    """

    def __init__(self, name: str, *, max_bytes: int = MAX_BYTES) -> None:
        self._input = TextInput(name)
        self.size = self._input.size
        """The input's length in bytes; None when only its end will tell."""
        self.max_bytes = max_bytes
        """How long a line may be."""
        self.blank = 0
        """How many blank lines were skipped so far."""
        self._lines: deque[_Raw] = deque()
        self._unfinished = _Raw()
        self._ended = False
        self.has_failed = False
        """Whether it could not be read any further."""
        self.number = 0
        """The number of the line handed out last; 0 before the first."""
        self._position = 0

    async def begin(self) -> None:
        """Read the first piece, so that it is known whether there is anything to be read.

        Raises:
            CommandError: The input cannot be read.
        """
        await self._read()

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
            How many there are, and whether those are all: a stream may go on behind them, and so
            may what could not be read.
        """
        count = 0
        while self._lines or (self.size is not None and not (self._ended or self.has_failed)):
            if self._lines:
                count += self._take(self._lines.popleft()) is not None
                continue
            try:
                await self._read()
            except CommandError:
                break
        return count, self._ended

    def close(self) -> None:
        """Stop reading. Harmless when called again."""
        self._input.close()

    async def _read(self) -> None:
        try:
            piece = await self._input.read()
        except CommandError:
            self.has_failed = True
            raise
        first, *others = piece.split(b"\n")
        self._unfinished.add(first, limit=self.max_bytes)
        self._ended = not piece
        for part in others:
            self._lines.append(self._unfinished)
            self._unfinished = _Raw()
            self._unfinished.add(part, limit=self.max_bytes)
        if self._ended:
            self._lines.append(self._unfinished)

    def _take(self, raw: "_Raw") -> Line | None:
        self.number += 1
        self._position += raw.length + 1
        content = b"".join(raw.parts)
        if self.number == 1:
            content = content.removeprefix(codecs.BOM_UTF8)
        content = content.strip()
        if content:
            return Line(
                number=self.number,
                content=content,
                excess=max(0, raw.length - self.max_bytes),
                end=self._input.taken if self._input.is_packed else self._position,
            )
        if not (self._ended and not self._lines):  # what follows the last line break is no line
            self.blank += 1
        return None


class _Raw:
    """A line as far as it was read; of one that is too long, how it begins."""

    __slots__ = ("_cut", "length", "parts")

    def __init__(self) -> None:
        self.length = 0
        self.parts: list[bytes] = []
        self._cut = False

    def add(self, part: bytes, *, limit: int) -> None:
        self.length += len(part)
        if self._cut:
            return
        self.parts.append(part)
        if self.length > limit:
            self._cut = True
            self.parts = [b"".join(self.parts)[:_EXCERPT]]
