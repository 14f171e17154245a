"""A compiled machine: everything about it that no event changes, and what was worked out so far."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ._call import Call, Context
from ._event import INIT
from ._node import StateNode, Transition
from ._rules import Rules

if TYPE_CHECKING:
    from ._configuration import Configuration
    from ._implementations import Implementations

K = TypeVar("K")
V = TypeVar("V")


def remember(cache: dict[K, V], key: K, value: V, limit: int) -> V:
    """Store and return a value in a cache that drops everything when it is full.

    That is cheap, and its size has a limit. Threads may work out one entry twice; entries are
    interchangeable, so the last one stays.
    """
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value
    return value


# How many states all entries of a cache may have together, and how many entries there are at most.
_CACHED_STATES = 500_000
_CONFIGURATIONS = 1_024
_PLANS = 128


class Chart:
    """A compiled machine. Shared between threads: only its caches ever change."""

    __slots__ = (
        "_takers",
        "_takers_of_wildcards",
        "by_id",
        "configurations",
        "context",
        "has_eventless",
        "implementations",
        "max_microsteps",
        "most_configurations",
        "most_plans",
        "nodes",
        "restored",
        "root",
        "rules",
        "start",
    )

    def __init__(
        self,
        *,
        nodes: tuple[StateNode, ...],
        by_id: dict[str, StateNode],
        context: Context | Callable[[Call], Context],
        implementations: "Implementations",
        rules: Rules,
        max_microsteps: float,
    ) -> None:
        # In document order, so that a state's number is its index.
        self.nodes: tuple[StateNode, ...] = nodes
        self.root: StateNode = nodes[0]
        # What enters the initial states.
        self.start: Transition = Transition(self.root, INIT)
        self.start.targets = (self.root,)
        self.start.reenter = True
        self.by_id: dict[str, StateNode] = by_id
        self.context: Context | Callable[[Call], Context] = context
        self.implementations: Implementations = implementations
        self.rules: Rules = rules
        # Infinite where the config says so.
        self.max_microsteps: float = max_microsteps
        self.has_eventless: bool = any(node.always for node in nodes)
        fitting = _CACHED_STATES // len(nodes) + 4
        # How many configurations are remembered, and how many plans and selectors of each.
        self.most_configurations: int = min(fitting, _CONFIGURATIONS)
        self.most_plans: int = min(fitting, _PLANS)
        self.configurations: dict[tuple[StateNode, ...], Configuration] = {}
        self._takers: dict[str, list[StateNode]] | None = None
        self._takers_of_wildcards: list[StateNode] = []
        # By the text of the stored value.
        self.restored: dict[str, Configuration] = {}

    def takers(self, event_type: str) -> list[StateNode]:
        """Return the states that may have candidates for an event of some type.

        The done events of many regions are mostly taken by nobody: then nobody is asked.
        """
        index = self._takers
        if index is None:
            index = {}
            for node in self.nodes:
                for descriptor in node.on:
                    index.setdefault(descriptor, []).append(node)
            self._takers_of_wildcards = [node for node in self.nodes if node.wildcards]
            self._takers = index
        takers = index.get(event_type, [])
        return takers + self._takers_of_wildcards if self._takers_of_wildcards else takers
