"""The definition of a machine, as a typed dict: what XState takes, without actors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from ._actions import Action
from ._call import Call, Computed, Context, Guard


class TransitionConfig(TypedDict, total=False):
    """What to do when an event comes."""

    target: str | Sequence[str]
    """Where to go: `sibling.child`, `.child` of this state, or `#id` of any state.

    Several targets lie in different regions of one parallel state. Without one, the machine stays
    where it is and only the actions run.
    """
    guard: Guard
    """If it does not pass, the next transition of the list is tried."""
    actions: Action | Sequence[Action]
    """What to do between leaving the old states and entering the new ones."""
    reenter: bool
    """Whether to leave and enter this state, too, when the target is itself or below it."""
    meta: Any
    """Anything for readers and tools; it is not used here."""
    description: str
    """A description for readers."""


Transitions: TypeAlias = str | TransitionConfig | Sequence[str | TransitionConfig]
"""A target, a transition, or a list of them to try in order."""

DelayedTransitions: TypeAlias = str | TransitionConfig | Sequence[TransitionConfig]
"""A target, a transition, or a list of transitions to try in order."""


class InitialConfig(TypedDict, total=False):
    """The initial child, with actions."""

    target: str
    """The key of a direct child."""
    actions: Action | Sequence[Action]
    """What to do when the child is entered by default, after the entry actions of its parent."""
    meta: Any
    """Anything for readers and tools; it is not used here."""
    description: str
    """A description for readers."""


class StateConfig(TypedDict, total=False):
    """One state."""

    id: str
    """A name unique in the machine. Default: the machine's id and the keys, joined by dots."""
    type: Literal["atomic", "compound", "parallel", "final", "history"]
    """Default: compound if it has `states`, history if it has `history`, else atomic."""
    initial: str | InitialConfig
    """The child entered by default; a compound state needs one."""
    states: "Mapping[str, StateConfig]"
    """The children by key."""
    on: Mapping[str, Transitions]
    """Transitions by event type. `*` takes any event, `order.*` takes `order` and `order.paid`."""
    always: Transitions
    """Transitions taken as soon as their guard passes, without an event."""
    after: Mapping[str | float, DelayedTransitions]
    """Transitions taken when the machine has been in this state for some time.

    The keys are numbers of milliseconds, or names out of the `delays` of the machine.
    """
    onDone: Transitions
    """Transitions taken when a final child, or every region, is reached."""
    entry: Action | Sequence[Action]
    """What to do on entering."""
    exit: Action | Sequence[Action]
    """What to do on leaving."""
    tags: str | Sequence[str]
    """Words by which a host recognises kinds of states."""
    meta: Any
    """Anything for the host; see `Snapshot.meta`."""
    output: Computed
    """For a final state, the `event["output"]` of its parent's `onDone`, or a function that computes
    it. For the root, the output of the machine."""
    description: str
    """A description for readers."""
    history: Literal["shallow", "deep"] | bool
    """Which states a history state remembers: children ("shallow" or True), or all states below its
    parent ("deep")."""
    target: str | Sequence[str]
    """For a history state, where it leads while it remembers nothing. Default: the initial child."""


class OptionsConfig(TypedDict, total=False):
    """Limits of a machine's steps."""

    maxIterations: float
    """How many microsteps one event may lead to; `math.inf` for no limit. Default: 10,000.

    XState has no limit by default.
    """


class MachineConfig(StateConfig, total=False):
    """A whole machine: its root state and what belongs to it alone."""

    context: Context | Callable[[Call], Context]
    """The first context, or a function that makes it, from `call.input`. Default: empty."""
    version: str
    """The version of the definition, kept as `machine.version`."""
    options: OptionsConfig
    """Limits of the machine's steps."""
