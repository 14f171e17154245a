"""Records as bytes with a tag that says how to read them, for databases."""

import zlib
from typing import Final, NamedTuple

from ._errors import MachineMemoryError
from ._memory import Record
from ._record_codec import decode_record, encode_record

_JSON: Final = "json"
_ZLIB: Final = "zlib"


class PackedRecord(NamedTuple):
    """A record as a database keeps it. The bytes must come back as they are."""

    codec: str
    """`json`: compact JSON in UTF-8. `zlib`: the same, compressed (RFC 1950)."""
    data: bytes
    """The bytes."""


def pack_record(record: Record, *, compress_above: int | None = None) -> PackedRecord:
    """Write a record for storage.

    Args:
        record: The record.
        compress_above: Compress JSON longer than so many bytes, if that makes it shorter. None
            never compresses.

    Raises:
        MachineMemoryError: The record is not JSON, so that no memory could ever keep it; not
            retryable.

    Example:
        >>> pack_record({"status": "active"})
        PackedRecord(codec='json', data=b'{"status":"active"}')
    """
    data = encode_record(record)
    if compress_above is not None and len(data) > compress_above:
        compressed = zlib.compress(data, level=1)
        if len(compressed) < len(data):
            return PackedRecord(_ZLIB, compressed)
    return PackedRecord(_JSON, data)


def unpack_record(packed: PackedRecord) -> Record:
    """Read what `pack_record` wrote, into fresh objects.

    Raises:
        MachineMemoryError: The codec is unknown or the bytes are damaged; not retryable.
    """
    match packed.codec:
        case "json":
            return decode_record(packed.data)
        case "zlib":
            return decode_record(_decompressed(packed.data))
        case unknown:
            raise MachineMemoryError(
                f"the stored record has the codec {unknown!r}, which this version does not know; "
                "it was written by a newer one",
                retryable=False,
                outcome="failed",
            )


def _decompressed(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise MachineMemoryError(
            f"the stored record cannot be decompressed: {error}", retryable=False, outcome="failed"
        ) from error
