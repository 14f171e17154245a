"""Handlers, resumable workflows and machine memories for Arvo events.

Start with `ArvoEventHandler` for a stateless service and `ArvoResumable` for a workflow written as
code. A workflow's state lives in an `IMachineMemory`; a broker carries the events.
"""

from ._clock import SYSTEM_CLOCK, Clock, ClockTimer
from ._errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    MachineMemoryError,
    ResolveError,
    TransactionViolation,
    TransactionViolationCause,
    UnroutableError,
)
from ._memory import ILeasedMachineMemory, IMachineMemory, LockPolicy, MachineLease, Record
from ._simple_memory import SimpleMachineMemory

__all__ = [
    "SYSTEM_CLOCK",
    "Clock",
    "ClockTimer",
    "ConfigViolation",
    "ContractViolation",
    "ExecutionViolation",
    "ILeasedMachineMemory",
    "IMachineMemory",
    "LockPolicy",
    "MachineLease",
    "MachineMemoryError",
    "Record",
    "ResolveError",
    "SimpleMachineMemory",
    "TransactionViolation",
    "TransactionViolationCause",
    "UnroutableError",
]
