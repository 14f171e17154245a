"""Handlers, resumable workflows and machine memories for Arvo events.

Start with `ArvoEventHandler` for a stateless service, and with `ArvoResumable` for a workflow
written as code or `ArvoOrchestrator` for one written as a statechart. A workflow's state lives in
an `IMachineMemory`; a broker carries the events.
"""

from ._backoff import SYSTEM_RANDOM, Backoff
from ._call import HandlerDomain, HandlerInput
from ._clock import SYSTEM_CLOCK, Clock, ClockTimer
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
    TransactionViolation,
    TransactionViolationCause,
    UndeliveredError,
    UnroutableError,
)
from ._execution import ExecutionPolicy
from ._handler import ArvoEventHandler, ArvoEventHandlerFunction
from ._handler_protocol import IArvoEventHandler
from ._lock_wait import until_granted
from ._machine import ArvoMachine
from ._machine_engine import MachineExecution, MachineExecutionEngine
from ._machine_id import check_machine_id
from ._machine_registry import MachineRegistry
from ._memory import ILeasedMachineMemory, IMachineMemory, LockPolicy, MachineLease, Record
from ._memory_url import MemoryUrl
from ._orchestrator import ArvoOrchestrator
from ._packed_record import PackedRecord, pack_record, unpack_record
from ._record_codec import decode_record, encode_record
from ._resumable import ArvoResumable
from ._resumable_call import Reply, Start, Step
from ._resumable_workflow import ArvoResumableFunction, ContextType
from ._shield import take_or_give_back
from ._simple_broker import (
    CONTENTION_TIMEOUT,
    BrokerErrorListener,
    DomainedEventListener,
    Publish,
    SimpleEventBroker,
)
from ._simple_memory import SimpleMachineMemory

__all__ = [
    "CONTENTION_TIMEOUT",
    "SYSTEM_CLOCK",
    "SYSTEM_RANDOM",
    "ArvoDomain",
    "ArvoEventHandler",
    "ArvoEventHandlerFunction",
    "ArvoMachine",
    "ArvoOrchestrator",
    "ArvoResumable",
    "ArvoResumableFunction",
    "Backoff",
    "BrokerErrorListener",
    "Clock",
    "ClockTimer",
    "Complete",
    "ConfigViolation",
    "ContextType",
    "ContractViolation",
    "DomainChoice",
    "DomainContext",
    "DomainedEventListener",
    "EmissionDomains",
    "Emit",
    "ExecutionPolicy",
    "ExecutionViolation",
    "HandlerDomain",
    "HandlerInput",
    "IArvoEventHandler",
    "ILeasedMachineMemory",
    "IMachineMemory",
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
    "Publish",
    "Record",
    "Reply",
    "ResolveError",
    "SimpleEventBroker",
    "SimpleMachineMemory",
    "Start",
    "Step",
    "TransactionViolation",
    "TransactionViolationCause",
    "UndeliveredError",
    "UnroutableError",
    "check_machine_id",
    "decode_record",
    "encode_record",
    "pack_record",
    "resolve_event_domain",
    "take_or_give_back",
    "unpack_record",
    "until_granted",
]
