"""Reads the input line by line."""

import codecs
from collections import deque
from dataclasses import dataclass
from typing import Final

from arvo_cli._errors import CommandError
from arvo_cli._options._values import MAX_LINE_BYTES

from ._text_input import TextInput

_EXCERPT_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the input that is not blank."""

    number: int
    """Counted from 1, blank lines included."""
    content: bytes
    """The line without surrounding white space; only its beginning when it is too long."""
    excess: int = 0
    """By how many bytes the line is too long; 0 for a complete line."""
    size: int
    """How many bytes of the input it takes, with blank lines before it."""

    @property
    def text(self) -> str:
        """The line as a string; bytes that are not UTF-8 are shown as escapes."""
        return self.content.decode("utf-8", "backslashreplace")


class LineReader:
    """Returns lines one by one; holds one line and one piece of the input, not the whole.

    Blank lines are skipped. A byte order mark at the start is dropped.

    Args:
        name: A path, or "-" for standard input.
        max_bytes: Maximum length of a line. Only the beginning of a longer one is kept.

    Raises:
        CommandError: The input cannot be opened.
    """

    def __init__(self, name: str, *, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._input = TextInput(name)
        self.size = self._input.size
        """The input's length in bytes; None when it is unknown until its end."""
        self.max_bytes = max_bytes
        """Maximum length of a line."""
        self.blank = 0
        """The number of blank lines skipped so far."""
        self._lines: deque[_Raw] = deque()
        self._unfinished = _Raw()
        self._ended = False
        self.has_failed = False
        """Whether the input could not be read to its end."""
        self.number = 0
        """The number of the line returned last; 0 before the first."""
        self._position = 0
        self._returned = 0
        """The position after the line returned last."""

    async def begin(self) -> None:
        """Read the first piece, to find out whether the input can be read.

        Raises:
            CommandError: The input cannot be read.
        """
        await self._read()

    async def next(self) -> Line | None:
        """Return the next line; None at the end. Cancellation loses no line.

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
        """Count the lines not yet returned, as far as that needs no waiting.

        Returns:
            Their number, and whether those are all: a stream may go on after them, and so may an
            input that could not be read to its end.
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
        """Stop reading. Idempotent."""
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
            before = self._returned
            self._returned = self._input.taken if self._input.is_compressed else self._position
            return Line(
                number=self.number,
                content=content,
                excess=max(0, raw.length - self.max_bytes),
                size=self._returned - before,
            )
        if not (self._ended and not self._lines):  # what follows the last line break is not a line
            self.blank += 1
        return None


class _Raw:
    """A line as far as it has been read; only the beginning of one that is too long."""

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
            self.parts = [b"".join(self.parts)[:_EXCERPT_BYTES]]
