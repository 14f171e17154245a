"""The states of a machine as the interpreter sees them, and the transitions between them."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from ._call import Call
from ._rules import Rules

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

    `targets` may hold history states; `descriptor` is the key in `on`, or `always`.
    """

    __slots__ = (
        "action_labels",
        "actions",
        "descriptor",
        "guard",
        "guard_name",
        "reenter",
        "source",
        "targets",
    )

    def __init__(self, source: "StateNode", descriptor: str) -> None:
        self.source: StateNode = source
        self.descriptor: str = descriptor
        self.targets: tuple[StateNode, ...] = ()
        self.guard: Test | None = None
        self.guard_name: str = ""
        self.actions: tuple[Executable, ...] = ()
        self.action_labels: tuple[str, ...] = ()
        self.reenter: bool = False


class StateNode:
    """One state. Sets of states are bit masks: the state numbered n has the bit `1 << n`."""

    __slots__ = (
        "always",
        "ancestors",
        "bit",
        "children",
        "deep",
        "default",
        "defaults_to_parallel",
        "descendants",
        "entry",
        "entry_labels",
        "exit",
        "exit_labels",
        "histories",
        "id",
        "initial",
        "initial_actions",
        "initial_labels",
        "key",
        "meta",
        "number",
        "on",
        "output",
        "parent",
        "path",
        "tags",
        "type",
        "wildcards",
    )

    def __init__(
        self, *, id: str, key: str, type: StateType, number: int, parent: "StateNode | None"
    ) -> None:
        self.id: str = id
        self.key: str = key
        self.type: StateType = type
        self.number: int = number
        self.bit: int = 1 << number
        self.parent: StateNode | None = parent
        self.path: tuple[str, ...] = () if parent is None else (*parent.path, key)
        # Nearest first.
        self.ancestors: tuple[StateNode, ...] = (
            () if parent is None else (parent, *parent.ancestors)
        )
        self.descendants: int = 0
        # In document order. History states have a list of their own.
        self.children: dict[str, StateNode] = {}
        self.histories: dict[str, StateNode] = {}

        self.initial: StateNode | None = None
        self.initial_actions: tuple[Executable, ...] = ()
        self.initial_labels: tuple[str, ...] = ()
        self.deep: bool = False
        # Of a history state: where it leads while nothing is recorded, if it says so itself.
        self.default: tuple[StateNode, ...] | None = None
        # And whether it leads to a whole parallel state otherwise.
        self.defaults_to_parallel: bool = False

        self.on: dict[str, tuple[Transition, ...]] = {}
        # The keys of `on` that end in a wildcard, longest first.
        self.wildcards: tuple[str, ...] = ()
        self.always: tuple[Transition, ...] = ()
        self.entry: tuple[Executable, ...] = ()
        self.exit: tuple[Executable, ...] = ()
        self.entry_labels: tuple[str, ...] = ()
        self.exit_labels: tuple[str, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.meta: object = UNSET
        self.output: object = UNSET

    def child(self, key: str) -> "StateNode | None":
        """Return the direct child of that key, which may be a history state."""
        return self.children.get(key) or self.histories.get(key)

    def default_targets(self) -> "tuple[StateNode, ...]":
        """Return where a history state leads while nothing is recorded."""
        if self.default is not None:
            return self.default
        parent = self.ancestors[0]
        if parent.type is StateType.PARALLEL:
            return (parent,) if self.defaults_to_parallel else ()
        return () if parent.initial is None else (parent.initial,)

    def candidates(self, event_type: str, rules: Rules) -> tuple[Transition, ...]:
        """Return the transitions to try for an event, in order."""
        exact = self.on.get(event_type)
        if not self.wildcards:
            return exact or ()
        if exact is not None and not rules.tries_wildcards_after_exact:
            return exact
        wild = tuple(
            transition
            for wildcard in self.wildcards_beside(event_type)
            for transition in self.on[wildcard]
        )
        return wild if exact is None else exact + wild

    def wildcards_beside(self, event_type: str) -> list[str]:
        """Return the keys that cover an event type and are not that type itself, longest first."""
        return [key for key in self.wildcards if key != event_type and _covers(key, event_type)]


def _covers(wildcard: str, event_type: str) -> bool:
    return wildcard == "*" or f"{event_type}.".startswith(wildcard[:-1])


class Unset:
    """The type of `UNSET`."""

    __slots__ = ()


UNSET = Unset()
"""Stands for an output or an error that is not there: None is a value of its own."""
