"""The chunks of a workflow as its hash has them."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from arvo_event_handler import UnreadableRecordError

from ._stored_record import RecordLimits

# As many digits as Lua counts exactly.
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,14}")


class StoredChunks(NamedTuple):
    """Chunks that are not freed, and the number of the last one ever written; 0 without any."""

    chunks: list[tuple[int, bytes]]
    last_chunk: int


def stored_chunks(
    first: bytes | None,
    last: bytes | None,
    data: Sequence[bytes],
    *,
    after: int = 0,
    limits: RecordLimits,
) -> StoredChunks:
    """Read the fields `first_chunk` and `last_chunk`, and the chunks of numbers above `after`.

    Raises:
        UnreadableRecordError: They are damaged, or of a newer version, or a chunk is missing.
    """
    first_chunk = _number(first, missing=1)
    last_chunk = _number(last, missing=0)
    if first_chunk > last_chunk + 1:
        raise damaged_numbers()
    start = max(first_chunk, after + 1)
    if len(data) < last_chunk + 1 - start:
        raise UnreadableRecordError(f"chunk {start + len(data)} is missing")
    chunks = [
        (number, limits.unpack_chunk(chunk, number=number))
        for number, chunk in enumerate(data, start)
    ]
    return StoredChunks(chunks, last_chunk)


def numbered_chunks(
    first: bytes | None, last: bytes | None, data: Sequence[bytes], *, limits: RecordLimits
) -> list[tuple[int, bytes]]:
    """Read the chunks of the numbers from `first` to `last`; none without numbers.

    Raises:
        UnreadableRecordError: A number or a chunk is damaged, or a chunk is missing.
    """
    if first is None or last is None:
        return []
    return stored_chunks(first, last, data, limits=limits).chunks


def has_chunks(first: bytes | None, last: bytes | None) -> bool:
    """Return whether the fields `first_chunk` and `last_chunk` say that there are chunks.

    Raises:
        UnreadableRecordError: They are damaged.
    """
    return _number(first, missing=1) <= _number(last, missing=0)


def damaged_numbers() -> UnreadableRecordError:
    """Return the error for a hash whose `first_chunk` or `last_chunk` is damaged."""
    return UnreadableRecordError("the stored numbers of chunks are damaged")


def _number(field: bytes | None, *, missing: int) -> int:
    if field is None:
        return missing
    if not _NUMBER.fullmatch(field):
        raise damaged_numbers()
    return int(field)
