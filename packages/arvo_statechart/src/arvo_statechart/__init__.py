"""Statecharts that behave like those of XState 5, without actors, delays and dependencies.

Define a `Machine`, `start` it and `run` it with events; `persist` where it is and `restore` it.
"""

from ._actions import (
    Action,
    ActionConfig,
    BuiltInAction,
    Update,
    assign,
    emit,
    enqueue_actions,
    log,
    raise_,
)
from ._call import BuiltInGuard, Call, Computed, Context, Guard, GuardConfig, Params
from ._config import (
    InitialConfig,
    MachineConfig,
    OptionsConfig,
    StateConfig,
    TransitionConfig,
    Transitions,
)
from ._definition.implementations import ActionImplementation, GuardImplementation
from ._definition.rules import XStateVersion
from ._diagrams.dot import to_dot
from ._diagrams.mermaid import to_mermaid
from ._effects import ActionEffect, Effect, EmitEffect, LogEffect
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
from ._event import Event
from ._guards import and_, not_, or_, state_in
from ._interpreter.snapshot import RunResult, Snapshot
from ._machine import Machine
from ._state_value import PartialStateValue, StateValue, Status

__all__ = [
    "Action",
    "ActionConfig",
    "ActionEffect",
    "ActionImplementation",
    "BuiltInAction",
    "BuiltInGuard",
    "Call",
    "Computed",
    "Context",
    "DefinitionProblem",
    "Effect",
    "EmitEffect",
    "Event",
    "Guard",
    "GuardConfig",
    "GuardError",
    "GuardImplementation",
    "InitialConfig",
    "InvalidEventError",
    "InvalidResultError",
    "InvalidSnapshotError",
    "LogEffect",
    "Machine",
    "MachineConfig",
    "MachineDefinitionError",
    "MicrostepLimitError",
    "OptionsConfig",
    "Params",
    "PartialStateValue",
    "RunResult",
    "Snapshot",
    "StateConfig",
    "StateValue",
    "StatechartError",
    "Status",
    "TransitionConfig",
    "Transitions",
    "Update",
    "XStateVersion",
    "and_",
    "assign",
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
