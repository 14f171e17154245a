"""Handlers, resumable workflows and machine memories for Arvo events.

Start with `ArvoEventHandler` for a stateless service and `ArvoResumable` for a workflow written as
code. A workflow's state lives in an `IMachineMemory`; a broker carries the events.
"""

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
from ._memory import ILeasedMachineMemory, IMachineMemory, LockPolicy, MachineLease, Record
from ._record_codec import decode_record, encode_record
from ._resumable import ArvoResumable
from ._resumable_call import Reply, Start, Step
from ._resumable_workflow import ArvoResumableFunction, ContextType
from ._simple_broker import (
    BrokerErrorListener,
    DomainedEventListener,
    Publish,
    SimpleEventBroker,
)
from ._simple_memory import SimpleMachineMemory

__all__ = [
    "SYSTEM_CLOCK",
    "ArvoDomain",
    "ArvoEventHandler",
    "ArvoEventHandlerFunction",
    "ArvoResumable",
    "ArvoResumableFunction",
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
    "MachineLease",
    "MachineMemoryError",
    "Outputs",
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
    "decode_record",
    "encode_record",
    "resolve_event_domain",
]
