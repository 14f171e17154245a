"""Test kit for what you build on Arvo, not for use in production.

`HandlerSuite` tests handlers and workflows with cases of steps. `MachineMemorySuite`,
`SharedMachineMemorySuite`, `LeasedMachineMemorySuite`, `WorkflowQueriesSuite`,
`StepHistorySuite`, `MachineTimerSuite` and `ClosedMachineMemorySuite` test a machine memory of your
own; `record_write` makes the argument of its `commit`. `arvo_time.testing` has a clock that moves by
hand, and records what was reported to OpenTelemetry.
"""

from ._closed_memory_suite import ClosableMachineMemory, ClosedMachineMemorySuite
from ._contention import ConnectLeasedMachineMemory, LetTimePass
from ._expectation import ExpectedError, ExpectedEvent
from ._handler_suite import (
    HandlerCase,
    HandlerStep,
    HandlerSuite,
    Repeat,
    StepInput,
    TimeStep,
)
from ._leased_memory_suite import LeasedMachineMemorySuite
from ._machine_memory_suite import MachineMemorySuite
from ._machine_timer_suite import MachineTimerSuite
from ._pending_timers import TimedMachineMemory
from ._record_write import record_write
from ._shared_memory_suite import ConnectMachineMemory, SharedMachineMemorySuite
from ._step_history_suite import HistoricMachineMemory, StepHistorySuite
from ._suite_report import CaseReport, RunReport, StepFailure, SuiteReport
from ._workflow_queries_suite import QueriedMachineMemory, WorkflowQueriesSuite

__all__ = [
    "CaseReport",
    "ClosableMachineMemory",
    "ClosedMachineMemorySuite",
    "ConnectLeasedMachineMemory",
    "ConnectMachineMemory",
    "ExpectedError",
    "ExpectedEvent",
    "HandlerCase",
    "HandlerStep",
    "HandlerSuite",
    "HistoricMachineMemory",
    "LeasedMachineMemorySuite",
    "LetTimePass",
    "MachineMemorySuite",
    "MachineTimerSuite",
    "QueriedMachineMemory",
    "Repeat",
    "RunReport",
    "SharedMachineMemorySuite",
    "StepFailure",
    "StepHistorySuite",
    "StepInput",
    "SuiteReport",
    "TimeStep",
    "TimedMachineMemory",
    "WorkflowQueriesSuite",
    "record_write",
]
