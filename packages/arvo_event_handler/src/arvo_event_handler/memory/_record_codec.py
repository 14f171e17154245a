"""Records as bytes: as plain JSON, and packed with a tag that says how to read them.

One limit applies to writing and reading, so that everything written can be read: the JSON of a
packed record has at most `MAX_RECORD_BYTES`, however few bytes it takes when compressed. Reading
inflates no further, as a few stored bytes can expand to gigabytes, and JSON takes up to thirty
times its length in memory once it is objects.
"""

import json
import zlib
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from arvo_core import collector_at_rest
from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError

from ._memory import Record

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""Maximum size of a record's JSON in bytes, before compression; a memory may set another limit."""

_JSON: Final = "json"
_ZLIB: Final = "zlib"
_LARGE: Final = 64 * 1024
"""Size of JSON, in bytes, above which the garbage collector is paused while it is read."""


class PackedRecord(NamedTuple):
    """A record as a database stores it."""

    codec: str
    """`json`: compact JSON in UTF-8. `zlib`: the same, compressed (RFC 1950)."""
    data: bytes
    """The encoded record, which must be returned unchanged."""


def encode_record(record: Record) -> bytes:
    """Write a record as compact JSON in UTF-8, members in their order.

    Raises:
        UnwritableRecordError: The record is not JSON or is nested too deeply, so that no memory
            could ever keep it.
    """
    return encode_json(record, what="the record")


def encode_json(value: object, *, what: str) -> bytes:
    """Write compact JSON in UTF-8; `what` is for errors.

    Raises:
        UnwritableRecordError: The value is not JSON or is nested too deeply.
    """
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError as error:
        raise UnwritableRecordError(f"{what} cannot be written as JSON: {error}") from error


def decode_record(stored: bytes) -> Record:
    """Read what `encode_record` wrote, into new objects.

    Raises:
        UnreadableRecordError: The bytes are not a JSON object.
    """
    if len(stored) <= _LARGE:
        record = _decode_record(stored)
    else:
        with collector_at_rest():
            record = _decode_record(stored)
    if not isinstance(record, dict):
        raise _unreadable(TypeError(f"it is a {type(record).__name__}"))
    return record


def pack_record(
    record: Record, *, compress_above: int | None = None, max_bytes: int = MAX_RECORD_BYTES
) -> PackedRecord:
    """Write a record for storage.

    Args:
        record: The record.
        compress_above: Compress JSON longer than this many bytes, if that makes it shorter. None
            never compresses.
        max_bytes: Maximum size of its JSON, in bytes.

    Raises:
        UnwritableRecordError: The record is not JSON, or longer than `max_bytes`.

    Example:
        >>> pack_record({"status": "active"})
        PackedRecord(codec='json', data=b'{"status":"active"}')
    """
    data = encode_record(record)
    if len(data) > max_bytes:
        raise UnwritableRecordError(
            f"the record has {len(data)} bytes, above the {max_bytes} that are allowed; "
            "store large data elsewhere and keep its address in the workflow"
        )
    if compress_above is not None and len(data) > compress_above:
        compressed = zlib.compress(data, level=1)
        if len(compressed) < len(data):
            return PackedRecord(_ZLIB, compressed)
    return PackedRecord(_JSON, data)


def unpack_record(packed: PackedRecord, *, max_bytes: int = MAX_RECORD_BYTES) -> Record:
    """Read what `pack_record` wrote, into new objects.

    Args:
        packed: As stored.
        max_bytes: Maximum size of its JSON, in bytes; no more than that is inflated.

    Raises:
        UnreadableRecordError: The codec is unknown, or the bytes are missing, damaged, or longer
            than `max_bytes`.
    """
    if not isinstance(packed.data, bytes):  # as in a row that was edited by hand
        raise UnreadableRecordError("the stored record has no bytes")
    match packed.codec:
        case "json":
            if len(packed.data) > max_bytes:
                raise _too_long(max_bytes)
            return decode_record(packed.data)
        case "zlib":
            return decode_record(inflate(packed.data, max_bytes=max_bytes))
        case unknown:
            raise UnreadableRecordError(
                f"the stored record has the codec {unknown!r:.40}, which this version does not "
                "know; it was written by a newer one, or is damaged",
                newer=True,
            )


def inflate(data: bytes, *, max_bytes: int, what: str = "the stored record") -> bytes:
    """Decompress what was stored, no further than `max_bytes`; `what` is for errors.

    Raises:
        UnreadableRecordError: The bytes are damaged, incomplete, or too long.
    """
    inflating = zlib.decompressobj()
    try:
        inflated = inflating.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise UnreadableRecordError(f"{what} cannot be decompressed: {error}") from error
    if len(inflated) > max_bytes:
        raise _too_long(max_bytes, what=what)
    if not inflating.eof:
        raise UnreadableRecordError(f"{what} cannot be decompressed: its end is missing")
    if inflating.unused_data:
        raise UnreadableRecordError(f"{what} has extra bytes after its end")
    return inflated


def _too_long(max_bytes: int, *, what: str = "the stored record") -> UnreadableRecordError:
    return UnreadableRecordError(f"{what} is longer than the {max_bytes} bytes that are allowed")


def decode_json(stored: bytes) -> Any:
    """Read JSON of any depth that `encode_json` writes.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        # Keys recur in every event, values hardly ever.
        return from_json(stored, cache_strings="keys")
    except ValueError:
        # The fast parser reads fewer levels than the writer writes.
        return json.loads(stored)


def _decode_record(stored: bytes) -> object:
    try:
        return decode_json(stored)
    except (ValueError, RecursionError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> UnreadableRecordError:
    return UnreadableRecordError(f"the stored record is not a JSON object: {error}")
