"""Records as JSON bytes: what machine memories keep."""

import json
from typing import Final

from pydantic_core import from_json, to_json

from arvo_core import collector_at_rest
from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError

from ._memory import Record

_LARGE: Final = 64 * 1024
"""Bytes of JSON above which the garbage collector rests while it is read."""


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
    if len(stored) <= _LARGE:
        record = _decode(stored)
    else:
        with collector_at_rest():
            record = _decode(stored)
    if not isinstance(record, dict):
        raise _unreadable(TypeError(f"it is a {type(record).__name__}"))
    return record


def _decode(stored: bytes) -> object:
    try:
        # Names return in every event, values hardly ever.
        return from_json(stored, cache_strings="keys")
    except ValueError:
        # The fast parser reads fewer levels than the writer writes.
        return _decode_slowly(stored)


def _decode_slowly(stored: bytes) -> object:
    try:
        return json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> UnreadableRecordError:
    return UnreadableRecordError(f"the stored record is not a JSON object: {error}")
