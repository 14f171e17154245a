"""The states of a machine as the interpreter sees them, and the transitions between them."""

from collections.abc import Callable, Mapping, Sequence, Set
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from arvo_statechart._call import Call
from arvo_statechart._guards import guard_label

from .after import After
from .executables import Executable
from .problems import Place
from .rules import Rules

Test: TypeAlias = Callable[[Call], object]
"""A compiled guard."""


Route: TypeAlias = "tuple[Sequence[StateNode], StateNode | None]"
"""The effective targets of a transition, and its domain, below which all states are left.

A domain of None means that the root itself is left.
"""


NOTHING: Mapping[str, Any] = MappingProxyType({})


class StateType(StrEnum):
    """The type of a state."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    HISTORY = "history"


# Bound once: before Python 3.12 looking up a member of an enum takes longer than most checks.
ATOMIC: Final = StateType.ATOMIC
COMPOUND: Final = StateType.COMPOUND
PARALLEL: Final = StateType.PARALLEL
FINAL: Final = StateType.FINAL
HISTORY: Final = StateType.HISTORY


class Transition:
    """A transition of one state, for one event or for none.

    `targets` may hold history states; `descriptor` is the key in `on`, the
    type of an `after`'s event, or `always`. `config` is the
    transition in the definition, for messages and diagrams; empty if that is only a target.
    """

    __slots__ = (
        "actions",
        "config",
        "descriptor",
        "guard",
        "reenter",
        "route",
        "source",
        "targets",
    )

    def __init__(
        self, source: "StateNode", descriptor: str, config: Mapping[str, Any] = NOTHING
    ) -> None:
        self.source: StateNode = source
        self.descriptor: str = descriptor
        self.config: Mapping[str, Any] = config
        self.targets: tuple[StateNode, ...] = ()
        self.guard: Test | None = None
        self.actions: tuple[Executable, ...] = ()
        self.reenter: bool = False
        # Where it leads, if that does not depend on a history state: see `route_of`.
        self.route: Route | None = None

    @property
    def guard_name(self) -> str:
        """The name of its guard, for messages."""
        return guard_label(self.config["guard"])


class StateNode:
    """One state.

    States are numbered in document order, so the states below one have the numbers after its own, up to
    its `last`.
    """

    __slots__ = (
        "after",
        "always",
        "ancestors",
        "children",
        "config",
        "deep",
        "default",
        "defaults_to_parallel",
        "entry",
        "exit",
        "histories",
        "id",
        "indexed",
        "initial",
        "initial_actions",
        "key",
        "last",
        "lineage",
        "meta",
        "number",
        "on",
        "output",
        "parent",
        "place",
        "tags",
        "type",
        "wildcards",
    )

    def __init__(
        self,
        id: str,
        key: str,
        type: StateType,
        number: int,
        parent: "StateNode | None",
        config: Mapping[str, Any],
        place: Place,
    ) -> None:
        self.id: str = id
        self.key: str = key
        self.type: StateType = type
        self.number: int = number
        self.config: Mapping[str, Any] = config
        self.place: Place = place
        # The highest number of the states below it; its own number if there are none.
        self.last: int = number
        self.parent: StateNode | None = parent
        # Nearest first; siblings share them.
        self.ancestors: tuple[StateNode, ...] = () if parent is None else parent.lineage
        # Itself and its ancestors; empty for a state without children.
        self.lineage: tuple[StateNode, ...] = ()
        # Whether JavaScript would reorder the keys of its children: some look like integers.
        self.indexed: bool = False
        # In document order; history states are apart.
        self.children: dict[str, StateNode] = {}
        self.histories: dict[str, StateNode] = {}

        self.initial: StateNode | None = None
        self.initial_actions: tuple[Executable, ...] = ()
        self.deep: bool = False
        # For a history state: its own targets while nothing is recorded; None if it has none.
        self.default: tuple[StateNode, ...] | None = None
        # Whether without targets it leads to the whole of a parallel parent.
        self.defaults_to_parallel: bool = False

        self.on: dict[str, tuple[Transition, ...]] = {}
        # The keys of `on` that end in a wildcard, longest first.
        self.wildcards: tuple[str, ...] = ()
        self.always: tuple[Transition, ...] = ()
        # By event type, in the order of setting their timers, which `entry` and `exit` do.
        self.after: Mapping[str, After] = NOTHING
        self.entry: tuple[Executable, ...] = ()
        self.exit: tuple[Executable, ...] = ()
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
        """Return the direct child of a key, which may be a history state."""
        return self.children.get(key) or self.histories.get(key)

    def default_targets(self) -> "tuple[StateNode, ...]":
        """Return where a history state leads while nothing is recorded."""
        if self.default is not None:
            return self.default
        parent = self.ancestors[0]
        if parent.type is PARALLEL:
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
        """Return the wildcards that cover an event type and do not equal it, longest first."""
        return [key for key in self.wildcards if key != event_type and _covers(key, event_type)]


def document_order(node: StateNode) -> int:
    """Return the key by which states are sorted into document order."""
    return node.number


# The search below takes time that grows with the square of the event type's length.
_LONGEST_TYPE = 1_000


def is_covered(event_type: str, wildcards: Set[str]) -> bool:
    """Return whether one of many wildcards may cover an event type."""
    if not wildcards:
        return False
    if "*" in wildcards or len(event_type) > _LONGEST_TYPE:
        return True
    parts = event_type.split(".")
    return any(".".join((*parts[:count], "*")) in wildcards for count in range(1, len(parts) + 1))


def _covers(wildcard: str, event_type: str) -> bool:
    return wildcard == "*" or f"{event_type}.".startswith(wildcard[:-1])


class Unset:
    """The type of `UNSET`."""

    __slots__ = ()


UNSET = Unset()
"""Marks a missing output or error, since None is a possible value."""
