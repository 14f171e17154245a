"""Decompression of gzip data, a bounded piece at a time."""

import zlib
from typing import Final

MAGIC: Final = b"\x1f"
"""The first byte of gzip data. No JSON text begins with it."""
_GZIP_FORMAT: Final = 31  # for zlib: with the header and check sum of gzip
# At the end of each member zlib copies all the input that follows, so it gets little at a time.
_SLICE_BYTES: Final = 4 * 1024


class Gunzip:
    """Decompresses gzip data (RFC 1952) of one member or several.

    However long the decompressed data are, no piece is longer than `size`.

    Args:
        size: Maximum length of a piece in bytes.
    """

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._member = zlib.decompressobj(_GZIP_FORMAT)
        self._amid_member = False
        self._slice = b""
        self._compressed = memoryview(b"")

    @property
    def is_complete(self) -> bool:
        """Whether the data fed so far end at the end of a member."""
        return not (self._amid_member or self._slice or self._compressed)

    def feed(self, compressed: bytes) -> None:
        """Add compressed data, once `take` has nothing left."""
        self._compressed = memoryview(compressed)

    def take(self) -> bytes:
        """Return the next piece; empty when more data must be fed first.

        Raises:
            zlib.error: The data are damaged.
        """
        while True:
            piece = self._advance()
            if piece or not (self._slice or self._compressed):
                return piece

    def _advance(self) -> bytes:
        """Decompress one slice, or as much of it as fits into a piece."""
        if not self._slice:
            self._slice = bytes(self._compressed[:_SLICE_BYTES])
            self._compressed = self._compressed[_SLICE_BYTES:]
        if not self._amid_member:
            self._slice = self._slice.lstrip(b"\0")  # members may be padded with zeros
            self._amid_member = bool(self._slice)
        # Even without more data: a member may hold back what did not fit into a piece.
        piece = self._member.decompress(self._slice, self._size)
        if self._member.eof:
            self._slice = self._member.unused_data
            self._member = zlib.decompressobj(_GZIP_FORMAT)
            self._amid_member = False
        else:
            self._slice = self._member.unconsumed_tail
        return piece
