"""Records as bytes with a tag that says how to read them, for databases.

One bound holds both ways, so that whatever may be written can be read: the JSON of a record has at
most `MAX_RECORD_BYTES`, however few bytes it takes when compressed. Reading inflates no further, as
a few stored bytes can stand for gigabytes, and JSON takes up to thirty times its length as objects.
"""

import zlib
from typing import Final, NamedTuple

from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError

from ._memory import Record
from ._record_codec import decode_record, encode_record

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""How long the JSON of a record may be, in bytes, before compression, unless a memory says else."""

_JSON: Final = "json"
_ZLIB: Final = "zlib"


class PackedRecord(NamedTuple):
    """A record as a database keeps it. The bytes must come back as they are."""

    codec: str
    """`json`: compact JSON in UTF-8. `zlib`: the same, compressed (RFC 1950)."""
    data: bytes
    """The bytes."""


def pack_record(
    record: Record, *, compress_above: int | None = None, max_bytes: int = MAX_RECORD_BYTES
) -> PackedRecord:
    """Write a record for storage.

    Args:
        record: The record.
        compress_above: Compress JSON longer than so many bytes, if that makes it shorter. None
            never compresses.
        max_bytes: How long its JSON may be.

    Raises:
        UnwritableRecordError: The record is not JSON, or longer than `max_bytes`.

    Example:
        >>> pack_record({"status": "active"})
        PackedRecord(codec='json', data=b'{"status":"active"}')
    """
    data = encode_record(record)
    if len(data) > max_bytes:
        raise UnwritableRecordError(
            f"the record has {len(data)} bytes, above the {max_bytes} that a record may have; "
            "keep large data elsewhere and its address in the workflow"
        )
    if compress_above is not None and len(data) > compress_above:
        compressed = zlib.compress(data, level=1)
        if len(compressed) < len(data):
            return PackedRecord(_ZLIB, compressed)
    return PackedRecord(_JSON, data)


def unpack_record(packed: PackedRecord, *, max_bytes: int = MAX_RECORD_BYTES) -> Record:
    """Read what `pack_record` wrote, into fresh objects.

    Args:
        packed: As stored.
        max_bytes: How long its JSON may be; no more than that is inflated.

    Raises:
        UnreadableRecordError: The codec is unknown, or the bytes are missing, damaged, or longer
            than `max_bytes`.
    """
    if not isinstance(packed.data, bytes):  # as of a row that somebody changed by hand
        raise UnreadableRecordError("the stored record has no bytes")
    match packed.codec:
        case "json":
            if len(packed.data) > max_bytes:
                raise _too_long(max_bytes)
            return decode_record(packed.data)
        case "zlib":
            return decode_record(_inflated(packed.data, max_bytes=max_bytes))
        case unknown:
            raise UnreadableRecordError(
                f"the stored record has the codec {unknown!r:.40}, which this version does not "
                "know; it was written by a newer one, or is damaged"
            )


def _inflated(data: bytes, *, max_bytes: int) -> bytes:
    inflating = zlib.decompressobj()
    try:
        inflated = inflating.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise UnreadableRecordError(f"the stored record cannot be decompressed: {error}") from error
    if len(inflated) > max_bytes:
        raise _too_long(max_bytes)
    if not inflating.eof:
        raise UnreadableRecordError("the stored record cannot be decompressed: its end is missing")
    if inflating.unused_data:
        raise UnreadableRecordError("the stored record has something else behind its end")
    return inflated


def _too_long(max_bytes: int) -> UnreadableRecordError:
    return UnreadableRecordError(
        f"the stored record is longer than the {max_bytes} bytes that a record may have"
    )
