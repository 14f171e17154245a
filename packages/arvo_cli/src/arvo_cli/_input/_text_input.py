"""Reads the input as UTF-8, whether it is compressed or not."""

import asyncio
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import Final

from arvo_cli._errors import CommandError, one_line, os_reason

from ._encoding import foreign_encoding, is_sufficient
from ._gunzip import MAGIC, Gunzip
from ._pump import Pump

STDIN: Final = "-"
"""The name that stands for standard input."""
_PIECE_BYTES: Final = 64 * 1024


class TextInput:
    """Reads a file or standard input a piece at a time, and decompresses gzip data.

    Args:
        name: A path, or "-" for standard input.

    Raises:
        CommandError: The input cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self._title = "standard input" if name == STDIN else name
        try:
            descriptor = _stdin() if name == STDIN else _open(name)
            status = os.fstat(descriptor)
        except OSError as error:
            raise CommandError(f"cannot read {self._title}: {os_reason(error)}") from error
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        """The input's length in bytes as stored; None when it is unknown until its end."""
        self.taken = 0
        """The number of stored bytes read so far."""
        self._pump = Pump(descriptor, owned=name != STDIN, size=_PIECE_BYTES)
        self._awaited: asyncio.Future[bytes] | None = None
        self._gunzip: Gunzip | None = None
        self._head: bytes | None = b""

    @property
    def is_compressed(self) -> bool:
        """Whether the input is gzip data. Known after the first piece."""
        return self._gunzip is not None

    async def read(self) -> bytes:
        """Return the next decompressed piece; empty at the end. Cancellation loses no data.

        Raises:
            CommandError: The input cannot be read any further, or is not encoded in UTF-8.
        """
        if self._head is None:
            return await self._decompressed()
        while not is_sufficient(self._head):
            piece = await self._decompressed()
            if not piece:
                break
            self._head += piece
        head, self._head = self._head, None
        encoding = foreign_encoding(head)
        if encoding is not None:
            raise CommandError(
                f"{self._title} is encoded in {encoding}; write it in UTF-8, "
                f"as `iconv -f {encoding} -t UTF-8` does"
            )
        return head

    def close(self) -> None:
        """Stop reading. Idempotent."""
        self._pump.stop()

    async def _decompressed(self) -> bytes:
        if self._gunzip is None:
            is_first = self.taken == 0
            piece = await self._raw()
            if not (is_first and piece.startswith(MAGIC)):
                return piece
            self._gunzip = Gunzip(size=_PIECE_BYTES)
            self._gunzip.feed(piece)
        try:
            while not (piece := self._gunzip.take()):
                compressed = await self._raw()
                if not compressed:
                    break
                self._gunzip.feed(compressed)
        except zlib.error as error:
            raise CommandError(
                f"cannot read {self._title}: its gzip data are corrupt: {one_line(error)}"
            ) from error
        if not piece and not self._gunzip.is_complete:
            raise CommandError(f"cannot read {self._title}: its gzip data are truncated")
        return piece

    async def _raw(self) -> bytes:
        # Shielded, so that a piece that arrives after a cancellation is not lost.
        self._awaited = self._awaited or self._pump.read()
        try:
            piece = await asyncio.shield(self._awaited)
        except OSError as error:
            raise CommandError(f"cannot read {self._title}: {os_reason(error)}") from error
        self._awaited = None
        self.taken += len(piece)
        return piece


def _stdin() -> int:
    if sys.stdin is None:
        raise OSError(0, "it is closed")
    return sys.stdin.fileno()


def _open(name: str) -> int:
    if Path(name).is_dir():
        raise IsADirectoryError(0, "it is a folder")
    return os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
