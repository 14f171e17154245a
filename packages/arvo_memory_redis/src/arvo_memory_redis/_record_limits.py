"""How large a stored record may be."""

from dataclasses import dataclass
from typing import Final

from arvo_event_handler import UnwritableRecordError
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    PackedRecord,
    Record,
    pack_record,
    unpack_record,
)
from arvo_time.settings import check_count

from ._telemetry import warn

_WARN_ABOVE: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLimits:
    """Bounds of what one step sends over the network.

    Raises:
        TypeError: A number is no int.
        ValueError: `compress_above` is negative, or `max_record_bytes` below 1.
    """

    compress_above: int | None
    """Compress JSON longer than so many bytes; None never does."""
    max_record_bytes: int
    """Refuse records that are longer than this when stored."""

    def __post_init__(self) -> None:
        if self.compress_above is not None:
            check_count(self.compress_above, name="compress_above")
        check_count(self.max_record_bytes, name="max_record_bytes", least=1)

    @property
    def max_json_bytes(self) -> int:
        """How long a record's JSON may be before compression; what is written can be read."""
        return max(self.max_record_bytes, MAX_RECORD_BYTES)

    def pack(self, record: Record) -> PackedRecord:
        """Write a record for storage; a large one leaves a warning on the current span.

        Raises:
            UnwritableRecordError: The record is not JSON or too large.
        """
        packed = pack_record(
            record, compress_above=self.compress_above, max_bytes=self.max_json_bytes
        )
        size = len(packed.data)
        if size > self.max_record_bytes:
            raise UnwritableRecordError(
                f"the record has {size} bytes, above max_record_bytes={self.max_record_bytes}; "
                "keep large data elsewhere and its address in the workflow"
            )
        if size > _WARN_ABOVE:
            warn(f"the record has {size} bytes; every step sends all of it over the network")
        return packed

    def unpack(self, packed: PackedRecord) -> Record:
        """Read what `pack` wrote.

        Raises:
            UnreadableRecordError: It is damaged, too large, or of a newer version.
        """
        return unpack_record(packed, max_bytes=self.max_json_bytes)
