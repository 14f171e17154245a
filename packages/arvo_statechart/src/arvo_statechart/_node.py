"""The states of a machine as the interpreter sees them, and the transitions between them."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from ._call import Call
from ._labels import guard_label

if TYPE_CHECKING:
    from ._step import Step

Executable: TypeAlias = "Callable[[Step], None]"
"""An action, ready to be run in a step."""

Test: TypeAlias = Callable[[Call], object]
"""A guard, ready to be asked."""


class StateType(StrEnum):
    """What a state is made of."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    HISTORY = "history"


class Transition:
    """What one state does about one event, or about none.

    `targets` may hold history states; `descriptor` is the key in `on`, or `always`. What the
    config says of guard and actions is kept for messages and diagrams.
    """

    __slots__ = (
        "action_config",
        "actions",
        "descriptor",
        "guard",
        "guard_config",
        "reenter",
        "source",
        "targets",
    )

    def __init__(self, source: "StateNode", descriptor: str) -> None:
        self.source: StateNode = source
        self.descriptor: str = descriptor
        self.targets: tuple[StateNode, ...] = ()
        self.guard: Test | None = None
        self.guard_config: object = None
        self.actions: tuple[Executable, ...] = ()
        self.action_config: object = ()
        self.reenter: bool = False

    @property
    def guard_name(self) -> str:
        """What to call its guard."""
        return guard_label(self.guard_config)


class StateNode:
    """One state.

    States are numbered in document order, so those below one are the next ones up to its `last`.
    """

    __slots__ = (
        "always",
        "ancestors",
        "children",
        "deep",
        "default",
        "entry",
        "entry_config",
        "exit",
        "exit_config",
        "histories",
        "id",
        "initial",
        "initial_actions",
        "initial_config",
        "key",
        "last",
        "lineage",
        "meta",
        "number",
        "on",
        "output",
        "parent",
        "tags",
        "type",
        "wildcards",
    )

    def __init__(
        self, id: str, key: str, type: StateType, number: int, parent: "StateNode | None"
    ) -> None:
        self.id: str = id
        self.key: str = key
        self.type: StateType = type
        self.number: int = number
        # The highest number below it; its own if there is none.
        self.last: int = number
        self.parent: StateNode | None = parent
        # Nearest first; siblings share them.
        self.ancestors: tuple[StateNode, ...] = () if parent is None else parent.lineage
        # Itself and its ancestors, of a state that has children.
        self.lineage: tuple[StateNode, ...] = ()
        # In document order. History states have a list of their own.
        self.children: dict[str, StateNode] = {}
        self.histories: dict[str, StateNode] = {}

        self.initial: StateNode | None = None
        self.initial_actions: tuple[Executable, ...] = ()
        self.initial_config: object = ()
        self.deep: bool = False
        # Of a history state: where it leads while nothing is recorded, if it says so itself.
        self.default: tuple[StateNode, ...] | None = None

        self.on: dict[str, tuple[Transition, ...]] = {}
        # The keys of `on` that end in a wildcard, longest first.
        self.wildcards: tuple[str, ...] = ()
        self.always: tuple[Transition, ...] = ()
        self.entry: tuple[Executable, ...] = ()
        self.exit: tuple[Executable, ...] = ()
        self.entry_config: object = ()
        self.exit_config: object = ()
        self.tags: tuple[str, ...] = ()
        self.meta: object = UNSET
        self.output: object = UNSET

    @property
    def root(self) -> "StateNode":
        """The root of the machine."""
        return self.ancestors[-1] if self.ancestors else self

    def is_below(self, other: "StateNode") -> bool:
        """Return whether it is a descendant of another state."""
        return other.number < self.number <= other.last

    def child(self, key: str) -> "StateNode | None":
        """Return the direct child of that key, which may be a history state."""
        return self.children.get(key) or self.histories.get(key)

    def default_targets(self) -> "tuple[StateNode, ...]":
        """Return where a history state leads while nothing is recorded."""
        if self.default is not None:
            return self.default
        # A parallel state has no initial child: then it leads nowhere.
        initial = None if self.parent is None else self.parent.initial
        return () if initial is None else (initial,)

    def candidates(self, event_type: str) -> tuple[Transition, ...]:
        """Return the transitions to try for an event, in order."""
        # A literal key hides the wildcards beside it, even if its guards fail.
        exact = self.on.get(event_type)
        if exact is not None:
            return exact
        return tuple(
            transition
            for wildcard in self.wildcards
            if _covers(wildcard, event_type)
            for transition in self.on[wildcard]
        )


def _covers(wildcard: str, event_type: str) -> bool:
    return wildcard == "*" or f"{event_type}.".startswith(wildcard[:-1])


class Unset:
    """The type of `UNSET`."""

    __slots__ = ()


UNSET = Unset()
"""Stands for an output or an error that is not there: None is a value of its own."""
