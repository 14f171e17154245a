"""Names for annotations: the parts of a config, and what functions take and return.

They are aliases and typed dicts; none of them is needed to run a machine.
"""

from ._actions import Action, ActionConfig, Update
from ._call import Computed, Context, Guard, GuardConfig, Params
from ._config import (
    DelayedTransitions,
    InitialConfig,
    MachineConfig,
    OptionsConfig,
    StateConfig,
    TransitionConfig,
    Transitions,
)
from ._definition.implementations import ActionImplementation, GuardImplementation
from ._definition.rules import XStateVersion
from ._delay import Delay
from ._effects import Effect
from ._event import Event
from ._state_value import PartialStateValue, StateValue, Status

__all__ = [
    "Action",
    "ActionConfig",
    "ActionImplementation",
    "Computed",
    "Context",
    "Delay",
    "DelayedTransitions",
    "Effect",
    "Event",
    "Guard",
    "GuardConfig",
    "GuardImplementation",
    "InitialConfig",
    "MachineConfig",
    "OptionsConfig",
    "Params",
    "PartialStateValue",
    "StateConfig",
    "StateValue",
    "Status",
    "TransitionConfig",
    "Transitions",
    "Update",
    "XStateVersion",
]
