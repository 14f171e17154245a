"""Chunks in storage: a tag of one byte, then the bytes, deflated if they are long."""

import zlib
from typing import Final

from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError

from ._record_codec import MAX_RECORD_BYTES, inflate

_PLAIN: Final = b"p"
_DEFLATED: Final = b"z"
_DEFLATE_FROM: Final = 4 * 1024
"""Bytes; a shorter chunk is kept as it is."""


def pack_chunk(chunk: bytes, *, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
    """Return a chunk as stored: with a tag, and deflated from 4 KiB on if that makes it shorter.

    Args:
        chunk: The chunk's bytes.
        max_bytes: How long the chunk may be before compression.

    Raises:
        UnwritableRecordError: The chunk is longer than `max_bytes`.

    Example:
        >>> pack_chunk(b"a line")
        b'pa line'
    """
    if len(chunk) > max_bytes:
        raise UnwritableRecordError(
            f"a chunk of the journal has {len(chunk)} bytes, above the {max_bytes} that are "
            "allowed; store large data elsewhere and keep its address in the workflow"
        )
    if len(chunk) >= _DEFLATE_FROM:
        deflated = zlib.compress(chunk, level=1)
        if len(deflated) < len(chunk):
            return _DEFLATED + deflated
    return _PLAIN + chunk


def unpack_chunk(stored: bytes, *, number: int, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
    """Return the bytes of a stored chunk.

    Args:
        stored: What `pack_chunk` returned.
        number: The chunk's number, for errors.
        max_bytes: How long the chunk may be; no more than that is inflated.

    Raises:
        UnreadableRecordError: The tag is unknown, or the bytes are damaged or longer than
            `max_bytes`.
    """
    what = f"chunk {number}"
    tag, data = stored[:1], stored[1:]
    if tag == _DEFLATED:
        return inflate(data, max_bytes=max_bytes, what=what)
    if tag != _PLAIN:
        raise UnreadableRecordError(
            f"{what} has the tag {tag!r}, which this version does not know; it was written by a "
            "newer one, or is damaged",
            newer=True,
        )
    if len(data) > max_bytes:
        raise UnreadableRecordError(f"{what} is longer than the {max_bytes} bytes that are allowed")
    return data
