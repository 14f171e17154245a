"""How large a stored record may be."""

from dataclasses import dataclass
from typing import Final

from arvo_event_handler import MachineMemoryError, PackedRecord, Record, pack_record

from ._telemetry import warn

_WARN_ABOVE: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLimits:
    """Bounds of what one step sends over the network."""

    compress_above: int | None
    """Compress JSON longer than so many bytes; None never does."""
    max_record_bytes: int
    """Refuse records that are longer than this when stored."""

    def pack(self, record: Record) -> PackedRecord:
        """Write a record for storage; a large one leaves a warning on the current span.

        Raises:
            MachineMemoryError: The record is not JSON or too large; not retryable.
        """
        packed = pack_record(record, compress_above=self.compress_above)
        size = len(packed.data)
        if size > self.max_record_bytes:
            raise MachineMemoryError(
                f"the record has {size} bytes, above max_record_bytes={self.max_record_bytes}; "
                "keep large data elsewhere and its address in the workflow",
                retryable=False,
                outcome="failed",
            )
        if size > _WARN_ABOVE:
            warn(f"the record has {size} bytes; every step sends all of it over the network")
        return packed
