"""Records as JSON bytes: what machine memories keep."""

import json

from pydantic_core import from_json, to_json

from ._errors import UnreadableRecordError, UnwritableRecordError
from ._memory import Record


def encode_record(record: Record) -> bytes:
    """Write a record as compact JSON in UTF-8, members in their order.

    Raises:
        UnwritableRecordError: The record is not JSON or is nested too deeply, so that no memory
            could ever keep it.
    """
    try:
        return to_json(record, inf_nan_mode="constants")
    except ValueError as error:
        raise UnwritableRecordError(f"the record cannot be written as JSON: {error}") from error


def decode_record(stored: bytes) -> Record:
    """Read what `encode_record` wrote, into fresh objects.

    Raises:
        UnreadableRecordError: The bytes are not a JSON object.
    """
    try:
        # Names return in every event, values hardly ever.
        record = from_json(stored, cache_strings="keys")
    except ValueError:
        # The fast parser reads fewer levels than the writer writes.
        record = _decode_slowly(stored)
    if not isinstance(record, dict):
        raise _unreadable(TypeError(f"it is a {type(record).__name__}"))
    return record


def _decode_slowly(stored: bytes) -> object:
    try:
        return json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> UnreadableRecordError:
    return UnreadableRecordError(f"the stored record is not a JSON object: {error}")
