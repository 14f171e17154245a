"""Statecharts that behave like those of XState 5, without actors and dependencies.

Define a `Machine`, `start` it and `run` it with events; `persist` its snapshots and `restore` them.
Names for annotations are in `arvo_statechart.typing`.
"""

from ._actions import BuiltInAction, assign, cancel, emit, enqueue_actions, log, raise_
from ._call import BuiltInGuard, Call
from ._diagrams.dot import to_dot
from ._diagrams.mermaid import to_mermaid
from ._effects import ActionEffect, CancelEffect, EmitEffect, LogEffect, ScheduleEffect
from ._errors import (
    DefinitionProblem,
    GuardError,
    InvalidEventError,
    InvalidResultError,
    InvalidSnapshotError,
    MachineDefinitionError,
    MicrostepLimitError,
    StatechartError,
)
from ._guards import and_, not_, or_, state_in
from ._interpreter.snapshot import RunResult, Snapshot
from ._machine import Machine

__all__ = [
    "ActionEffect",
    "BuiltInAction",
    "BuiltInGuard",
    "Call",
    "CancelEffect",
    "DefinitionProblem",
    "EmitEffect",
    "GuardError",
    "InvalidEventError",
    "InvalidResultError",
    "InvalidSnapshotError",
    "LogEffect",
    "Machine",
    "MachineDefinitionError",
    "MicrostepLimitError",
    "RunResult",
    "ScheduleEffect",
    "Snapshot",
    "StatechartError",
    "and_",
    "assign",
    "cancel",
    "emit",
    "enqueue_actions",
    "log",
    "not_",
    "or_",
    "raise_",
    "state_in",
    "to_dot",
    "to_mermaid",
]
