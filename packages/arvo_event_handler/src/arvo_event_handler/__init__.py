"""Handlers, resumable workflows and machine memories for Arvo events.

Start with `ArvoEventHandler` for a stateless service, and with `ArvoResumable` for a workflow
written as code or `ArvoOrchestrator` for one written as a statechart. A workflow's state lives in
an `IMachineMemory`; a broker carries the events.
"""

from ._call import HandlerDomain, HandlerInput
from ._domain import (
    ArvoDomain,
    DomainChoice,
    DomainContext,
    EmissionDomains,
    resolve_event_domain,
)
from ._emit import Complete, Emit, Outputs
from ._errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    InvalidHandlerError,
    MachineMemoryError,
    ResolveError,
    RetryableFailure,
    RetryLater,
    TransactionViolation,
    TransactionViolationCause,
    UndeliveredError,
    UnreadableRecordError,
    UnroutableError,
    UnwritableRecordError,
)
from ._execution import ExecutionPolicy
from ._handler import ArvoEventHandler, ArvoEventHandlerFunction, RetryOn
from ._handler_protocol import (
    IArvoEventHandler,
    IRetriedEventHandler,
    check_handler,
    own_retry_policy,
)
from ._lock_wait import until_granted
from ._machine import ArvoMachine
from ._machine_engine import MachineExecution, MachineExecutionEngine
from ._machine_id import check_machine_id
from ._machine_registry import MachineRegistry
from ._memory import ILeasedMachineMemory, IMachineMemory, LockPolicy, MachineLease, Record
from ._memory_url import MemoryUrl
from ._open_requests import Answers
from ._orchestrator import ArvoOrchestrator
from ._packed_record import MAX_RECORD_BYTES, PackedRecord, pack_record, unpack_record
from ._record_codec import decode_record, encode_record
from ._resumable import ArvoResumable
from ._resumable_call import Reply, Start, Step
from ._resumable_workflow import ArvoResumableFunction, ContextType
from ._simple_broker import SimpleEventBroker
from ._simple_memory import SimpleMachineMemory
from ._system_error_policy import SystemErrorPolicy

__all__ = [
    "MAX_RECORD_BYTES",
    "Answers",
    "ArvoDomain",
    "ArvoEventHandler",
    "ArvoEventHandlerFunction",
    "ArvoMachine",
    "ArvoOrchestrator",
    "ArvoResumable",
    "ArvoResumableFunction",
    "Complete",
    "ConfigViolation",
    "ContextType",
    "ContractViolation",
    "DomainChoice",
    "DomainContext",
    "EmissionDomains",
    "Emit",
    "ExecutionPolicy",
    "ExecutionViolation",
    "HandlerDomain",
    "HandlerInput",
    "IArvoEventHandler",
    "ILeasedMachineMemory",
    "IMachineMemory",
    "IRetriedEventHandler",
    "InvalidHandlerError",
    "LockPolicy",
    "MachineExecution",
    "MachineExecutionEngine",
    "MachineLease",
    "MachineMemoryError",
    "MachineRegistry",
    "MemoryUrl",
    "Outputs",
    "PackedRecord",
    "Record",
    "Reply",
    "ResolveError",
    "RetryLater",
    "RetryOn",
    "RetryableFailure",
    "SimpleEventBroker",
    "SimpleMachineMemory",
    "Start",
    "Step",
    "SystemErrorPolicy",
    "TransactionViolation",
    "TransactionViolationCause",
    "UndeliveredError",
    "UnreadableRecordError",
    "UnroutableError",
    "UnwritableRecordError",
    "check_handler",
    "check_machine_id",
    "decode_record",
    "encode_record",
    "own_retry_policy",
    "pack_record",
    "resolve_event_domain",
    "unpack_record",
    "until_granted",
]
