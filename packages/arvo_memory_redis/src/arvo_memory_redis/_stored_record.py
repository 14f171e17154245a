"""The stored form of a workflow's record: its limits, and how it is read."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from opentelemetry import trace

from arvo_event_handler import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    PackedRecord,
    Record,
    pack_chunk,
    pack_record,
    unpack_chunk,
    unpack_record,
)
from arvo_time.settings import check_count

_WARN_ABOVE: Final = 256 * 1024
# As many digits as Lua's numbers hold exactly.
_VERSION: Final = re.compile(rb"[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLimits:
    """Bounds of what one step sends over the network.

    Raises:
        TypeError: A number is not an int.
        ValueError: `compress_above` is negative, or `max_record_bytes` below 1.
    """

    compress_above: int | None
    """Compress JSON longer than this, in bytes; None means never."""
    max_record_bytes: int
    """Refuse records that are longer than this when stored, in bytes."""

    def __post_init__(self) -> None:
        if self.compress_above is not None:
            check_count(self.compress_above, name="compress_above")
        check_count(self.max_record_bytes, name="max_record_bytes", least=1)

    @property
    def max_json_bytes(self) -> int:
        """How long a record's JSON may be before compression, written or read."""
        return max(self.max_record_bytes, MAX_RECORD_BYTES)

    def pack(self, record: Record) -> PackedRecord:
        """Return a record as it is stored; a large one leaves a warning on the current span.

        Raises:
            UnwritableRecordError: The record cannot be written as JSON, or is too large.
        """
        packed = pack_record(
            record, compress_above=self.compress_above, max_bytes=self.max_json_bytes
        )
        size = len(packed.data)
        if size > self.max_record_bytes:
            raise UnwritableRecordError(
                f"the record has {size} bytes, above max_record_bytes={self.max_record_bytes}; "
                "store large data elsewhere and keep its address in the workflow"
            )
        if size > _WARN_ABOVE:
            _warn(f"the record has {size} bytes; every step sends all of it over the network")
        return packed

    def unpack(self, packed: PackedRecord) -> Record:
        """Read what `pack` returned.

        Raises:
            UnreadableRecordError: It is damaged, too large, or of a newer version.
        """
        return unpack_record(packed, max_bytes=self.max_json_bytes)

    def pack_chunk(self, chunk: bytes) -> bytes:
        """Write a chunk for storage; never empty.

        Raises:
            UnwritableRecordError: The chunk is too large.
        """
        packed = pack_chunk(chunk, max_bytes=self.max_json_bytes)
        size = len(packed)
        if size > self.max_record_bytes:
            raise UnwritableRecordError(
                f"a chunk of the journal has {size} bytes, above "
                f"max_record_bytes={self.max_record_bytes}; "
                "keep large data elsewhere and its address in the workflow"
            )
        return packed

    def unpack_chunk(self, stored: bytes, *, number: int) -> bytes:
        """Read what `pack_chunk` wrote; `number` is for errors.

        Raises:
            UnreadableRecordError: It is damaged, too large, or of a newer version.
        """
        return unpack_chunk(stored, number=number, max_bytes=self.max_json_bytes)


class StoredRecord(NamedTuple):
    """What a hash holds of a workflow's state."""

    version: int
    """How often the record was written; 0 if it never was."""
    record: Record | None
    """The latest record, a fresh copy; None if it never was written."""


def stored_record(
    version: bytes | None, codec: bytes | None, state: bytes | None, *, limits: RecordLimits
) -> StoredRecord:
    """Read three fields of a hash, each None if it is missing.

    Raises:
        UnreadableRecordError: They are damaged, or of a newer version.
    """
    if version is None and codec is None and state is None:
        return StoredRecord(0, None)
    if version is None or not _VERSION.fullmatch(version):
        raise UnreadableRecordError(
            f"the stored version must be a positive number, got {version!r:.40}"
        )
    if codec is None or state is None:
        raise UnreadableRecordError("the stored record lacks its codec or its state")
    packed = PackedRecord(codec.decode("utf-8", "replace"), state)
    return StoredRecord(int(version), limits.unpack(packed))


def stored_owner(last_owner: bytes | None) -> str:
    """Read the token of the record's last writer; empty if it was never written.

    Raises:
        UnreadableRecordError: It is damaged.
    """
    try:
        return (last_owner or b"").decode("ascii")
    except UnicodeDecodeError as error:
        raise UnreadableRecordError("the stored last_owner is damaged") from error


def _warn(message: str) -> None:
    """Add a warning to the caller's span."""
    span = trace.get_current_span()
    if span.is_recording():
        span.add_event("warning", {"message": message})
