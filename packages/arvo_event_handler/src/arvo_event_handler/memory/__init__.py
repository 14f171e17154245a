"""The kit for those who write a machine memory, or open one.

A memory is a class with the four calls of `IMachineMemory`, or with those of `ILeasedMachineMemory`
as well. Here is what both are made of: records, chunks and their bytes, leases and how one waits for them,
and URLs; the errors that they raise are those of `arvo_event_handler`, as `IMachineMemory` is.
`connect_memory` opens a memory of any installed package by its URL. Test yours with the suites of
`arvo_event_handler.testing`; docs/memories.md has two complete ones.
"""

from ._chunk_codec import pack_chunk, unpack_chunk
from ._connect import connect_memory
from ._lock import LockPolicy, until_granted
from ._memory import (
    ILeasedMachineMemory,
    MachineLease,
    Record,
    check_machine_id,
    machine_memory_error,
)
from ._record_codec import (
    MAX_RECORD_BYTES,
    PackedRecord,
    decode_record,
    encode_record,
    pack_record,
    unpack_record,
)
from ._record_write import RecordWrite
from ._summary import WorkflowStatus, WorkflowSummary
from ._url import MemoryUrl

__all__ = [
    "MAX_RECORD_BYTES",
    "ILeasedMachineMemory",
    "LockPolicy",
    "MachineLease",
    "MemoryUrl",
    "PackedRecord",
    "Record",
    "RecordWrite",
    "WorkflowStatus",
    "WorkflowSummary",
    "check_machine_id",
    "connect_memory",
    "decode_record",
    "encode_record",
    "machine_memory_error",
    "pack_chunk",
    "pack_record",
    "unpack_chunk",
    "unpack_record",
    "until_granted",
]
