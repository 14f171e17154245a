"""What one needs to write a machine memory, or to open one.

A memory is a class with the four calls of `IMachineMemory`, or with those of `ILeasedMachineMemory`
as well. This package has what both are made of: records, chunks and their bytes, leases and how to
wait for them, and URLs. A memory that implements `IWorkflowQueries` too can be asked which workflows
it has, one that implements `IStepHistory` what happened in them, and one that implements
`ITimedMachineMemory` when they want to be woken. `IMachineMemory` and the errors that memories raise are in
`arvo_event_handler`.
`connect_memory` opens a memory of any installed package by its URL, and `migrate_memory` brings to its
present form what an older version of the package has stored. Test yours with the suites of
`arvo_event_handler.testing`; docs/memories.md has two complete ones.
"""

from ._chunk_codec import pack_chunk, unpack_chunk
from ._connect import connect_memory
from ._journaled_record import (
    check_previous,
    lacks_machine_definition,
    to_typescript,
    whole,
)
from ._lock import LockPolicy, until_granted
from ._memory import (
    ILeasedMachineMemory,
    MachineLease,
    Record,
    check_machine_id,
    machine_memory_error,
)
from ._migration import MigrateUrl, MigrationReport, OnMigrated, migrate_memory
from ._next_timer import UNCHANGED, NextTimer, Unchanged
from ._page_request import CountRequest, PageRequest
from ._pending_timers import TIMERS
from ._record_codec import (
    MAX_RECORD_BYTES,
    PackedRecord,
    decode_record,
    encode_record,
    pack_record,
    unpack_record,
)
from ._record_write import RecordWrite
from ._sole_process import sole_process
from ._step_history import IStepHistory, StoredStep, check_history, check_subjects
from ._stored_details import StoredDetails, StoredFailure, StoredTimer, stored_details
from ._stored_steps import (
    CHUNKS_TOGETHER,
    FetchJournal,
    StoredJournal,
    read_step_times,
    read_steps,
)
from ._stored_workflow import StoredWorkflow
from ._summary import WorkflowStatus, WorkflowSummary, summary_of_record
from ._timed_memory import (
    DueMachine,
    ITimedMachineMemory,
    ITimerSource,
    check_claim,
    claim_hold,
    next_timer,
)
from ._url import MemoryUrl
from ._workflow_index import IWorkflowIndex
from ._workflow_queries import (
    QUERY_TIMEOUT,
    IWorkflowQueries,
    WorkflowCount,
    WorkflowPage,
)
from ._workflow_query import WorkflowQuery

__all__ = [
    "CHUNKS_TOGETHER",
    "MAX_RECORD_BYTES",
    "QUERY_TIMEOUT",
    "TIMERS",
    "UNCHANGED",
    "CountRequest",
    "DueMachine",
    "FetchJournal",
    "ILeasedMachineMemory",
    "IStepHistory",
    "ITimedMachineMemory",
    "ITimerSource",
    "IWorkflowIndex",
    "IWorkflowQueries",
    "LockPolicy",
    "MachineLease",
    "MemoryUrl",
    "MigrateUrl",
    "MigrationReport",
    "NextTimer",
    "OnMigrated",
    "PackedRecord",
    "PageRequest",
    "Record",
    "RecordWrite",
    "StoredDetails",
    "StoredFailure",
    "StoredJournal",
    "StoredStep",
    "StoredTimer",
    "StoredWorkflow",
    "Unchanged",
    "WorkflowCount",
    "WorkflowPage",
    "WorkflowQuery",
    "WorkflowStatus",
    "WorkflowSummary",
    "check_claim",
    "check_history",
    "check_machine_id",
    "check_previous",
    "check_subjects",
    "claim_hold",
    "connect_memory",
    "decode_record",
    "encode_record",
    "lacks_machine_definition",
    "machine_memory_error",
    "migrate_memory",
    "next_timer",
    "pack_chunk",
    "pack_record",
    "read_step_times",
    "read_steps",
    "sole_process",
    "stored_details",
    "summary_of_record",
    "to_typescript",
    "unpack_chunk",
    "unpack_record",
    "until_granted",
    "whole",
]
