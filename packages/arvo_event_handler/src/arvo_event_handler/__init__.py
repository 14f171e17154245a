"""Handlers, resumable workflows and machine memories for Arvo events.

Start with `ArvoEventHandler` for a stateless service, and with `ArvoResumable` for a workflow
written as code or `ArvoOrchestrator` for one written as a statechart. A workflow's state lives in
an `IMachineMemory`; a broker carries the events. `arvo_event_handler.memory` has what you need for
a machine memory of your own, `arvo_event_handler.delivery` the settings and parts of brokers, and
`arvo_event_handler.testing` suites for handlers, workflows and memories.
"""

from ._call import HandlerDomain, HandlerInput
from ._emission._domain import (
    ArvoDomain,
    DomainChoice,
    DomainContext,
    EmissionDomains,
    resolve_event_domain,
)
from ._emission._emit import Complete, Emit, Outputs
from ._errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    InvalidHandlerError,
    MachineMemoryError,
    MemoryInUseError,
    QueryTimeoutError,
    ResolveError,
    RetryableFailure,
    RetryLater,
    TransactionViolation,
    TransactionViolationCause,
    UndeliveredError,
    UnknownMemoryError,
    UnreadableRecordError,
    UnroutableError,
    UnwritableRecordError,
)
from ._handler import (
    ArvoEventHandler,
    ArvoEventHandlerFunction,
    IArvoEventHandler,
    IRetriedEventHandler,
    IWorkflowHandler,
    RetryOn,
    check_handler,
)
from ._incoming import version_describing
from ._schedule._schedule import ArvoSchedule
from ._schedule._schedule_workflow import ArvoScheduleFunction, MissedTimes
from ._simple_broker import SimpleEventBroker
from ._system_error_policy import SystemErrorPolicy
from ._workflow._control_events import WorkflowControl
from ._workflow._execution_policy import ExecutionPolicy
from ._workflow._machine import ArvoMachine, MachineRegistry
from ._workflow._machine_engine import MachineExecution, MachineExecutionEngine
from ._workflow._open_requests import Answers
from ._workflow._orchestrator import ArvoOrchestrator
from ._workflow._resumable import ArvoResumable, ArvoResumableFunction
from ._workflow._resumable_call import Due, Reply, Start, Step, Timer
from ._workflow._stored_context import ContextType
from .memory._memory import IMachineMemory
from .memory._simple_memory import SimpleMachineMemory

__all__ = [
    "Answers",
    "ArvoDomain",
    "ArvoEventHandler",
    "ArvoEventHandlerFunction",
    "ArvoMachine",
    "ArvoOrchestrator",
    "ArvoResumable",
    "ArvoResumableFunction",
    "ArvoSchedule",
    "ArvoScheduleFunction",
    "Complete",
    "ConfigViolation",
    "ContextType",
    "ContractViolation",
    "DomainChoice",
    "DomainContext",
    "Due",
    "EmissionDomains",
    "Emit",
    "ExecutionPolicy",
    "ExecutionViolation",
    "HandlerDomain",
    "HandlerInput",
    "IArvoEventHandler",
    "IMachineMemory",
    "IRetriedEventHandler",
    "IWorkflowHandler",
    "InvalidHandlerError",
    "MachineExecution",
    "MachineExecutionEngine",
    "MachineMemoryError",
    "MachineRegistry",
    "MemoryInUseError",
    "MissedTimes",
    "Outputs",
    "QueryTimeoutError",
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
    "Timer",
    "TransactionViolation",
    "TransactionViolationCause",
    "UndeliveredError",
    "UnknownMemoryError",
    "UnreadableRecordError",
    "UnroutableError",
    "UnwritableRecordError",
    "WorkflowControl",
    "check_handler",
    "resolve_event_domain",
    "version_describing",
]
