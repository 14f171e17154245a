"""Unpacking of gzip data, a bounded piece at a time."""

import zlib
from typing import Final

MAGIC: Final = b"\x1f"
"""The first byte of gzip data, with which no JSON text begins."""
_GZIP_FORMAT: Final = 31  # for zlib: with the header and check sum of gzip
# At the end of each member zlib copies what stands behind it, so that must not be much.
_SLICE: Final = 4 * 1024


class Gunzip:
    """Unpacks gzip data (RFC 1952) of one member or several.

    Whatever the data unpack to, no piece is longer than `size`.

    Args:
        size: How long a piece may be, in bytes.
    """

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._member = zlib.decompressobj(_GZIP_FORMAT)
        self._amid_member = False
        self._slice = b""
        self._packed = memoryview(b"")

    @property
    def is_complete(self) -> bool:
        """Whether what was fed so far ends where a member does."""
        return not (self._amid_member or self._slice or self._packed)

    def feed(self, packed: bytes) -> None:
        """Give it further data, once `take` has nothing left."""
        self._packed = memoryview(packed)

    def take(self) -> bytes:
        """Return the next piece; empty when there is none before further data are fed.

        Raises:
            zlib.error: The data are damaged.
        """
        while True:
            piece = self._advance()
            if piece or not (self._slice or self._packed):
                return piece

    def _advance(self) -> bytes:
        """Unpack one slice, or what of it fits into a piece."""
        if not self._slice:
            self._slice, self._packed = bytes(self._packed[:_SLICE]), self._packed[_SLICE:]
        if not self._amid_member:
            self._slice = self._slice.lstrip(b"\0")  # members may be padded with zeros
            self._amid_member = bool(self._slice)
        # Even without further data: a member may hold back what did not fit into a piece.
        piece = self._member.decompress(self._slice, self._size)
        if self._member.eof:
            self._slice = self._member.unused_data
            self._member = zlib.decompressobj(_GZIP_FORMAT)
            self._amid_member = False
        else:
            self._slice = self._member.unconsumed_tail
        return piece
