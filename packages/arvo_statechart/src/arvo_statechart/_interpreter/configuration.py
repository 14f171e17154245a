"""The set of active states, and everything that depends on it alone."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from arvo_statechart._call import Call, Guard
from arvo_statechart._definition.chart import Chart
from arvo_statechart._definition.states import PARALLEL, UNSET, StateNode, document_order
from arvo_statechart._state_value import PartialStateValue, StateValue, matches

from .selection import (
    FEW_STATES,
    NO_EVENTLESS,
    Branch,
    Eventless,
    Selector,
    branch_of_chain,
    branch_of_tree,
)
from .state_values import LEAVES, regions_of, value_of_chain, value_of_tree

K = TypeVar("K")
V = TypeVar("V")

# How many states all entries of a cache may have together.
_CACHED_STATES = 500_000
_MOST_SELECTORS = 128


def remember(cache: dict[K, V], key: K, value: V, limit: int) -> V:
    """Store and return a value in a cache that drops everything when it is full.

    That is cheap and bounds its size. Threads may compute one entry twice; entries are
    interchangeable, so the last one stays.
    """
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value
    return value


def most_entries(chart: Chart, limit: int) -> int:
    """Return how many entries a cache may have if each entry may hold every state of a machine."""
    return min(_CACHED_STATES // len(chart.nodes) + 4, limit)


class Configuration:
    """The active states of a machine, in the order in which they were entered.

    The order is part of it: it decides the key order of the value, and with it the order in
    which regions are asked for transitions. Everything that depends on the states is computed when
    it is first needed, since a machine passes through most of its configurations only once.
    """

    __slots__ = (
        "_in_document_order",
        "_leaves",
        "_members",
        "_numbers",
        "_positions",
        "_regions",
        "_value",
        "chart",
        "eventless",
        "nodes",
        "selectors",
    )

    def __init__(self, chart: Chart, nodes: tuple[StateNode, ...]) -> None:
        self.chart: Chart = chart
        self.nodes: tuple[StateNode, ...] = nodes
        self.selectors: dict[str, Selector] = {}
        self._in_document_order: list[StateNode] | None = None
        self._leaves: tuple[StateNode, ...] | None = None
        self._members: frozenset[StateNode] | None = None
        self._numbers: list[int] | None = None
        self._positions: dict[StateNode, int] | None = None
        self._regions: dict[StateNode, tuple[StateNode, ...]] | None = None
        self._value: StateValue | None = None
        # Chooses the `always` transitions.
        self.eventless: Eventless = Eventless(self.leaves) if chart.has_eventless else NO_EVENTLESS

    @property
    def members(self) -> frozenset[StateNode]:
        """The active states as a set."""
        if self._members is None:
            self._members = frozenset(self.nodes)
        return self._members

    @property
    def in_document_order(self) -> Sequence[StateNode]:
        """The active states, in document order."""
        if self._in_document_order is None:
            self._in_document_order = sorted(self.nodes, key=document_order)
        return self._in_document_order

    def below(self, node: StateNode) -> Sequence[StateNode]:
        """Return the active states below a state, in document order."""
        ordered = self.in_document_order
        if len(ordered) <= FEW_STATES:
            first, last = node.number, node.last
            return [active for active in ordered if first < active.number <= last]
        if self._numbers is None:
            self._numbers = [active.number for active in ordered]
        begin = bisect_right(self._numbers, node.number)
        return ordered[begin : bisect_right(self._numbers, node.last, begin)]

    @property
    def leaves(self) -> tuple[StateNode, ...]:
        """The active states without states below them."""
        if self._leaves is None:
            self._leaves = tuple([node for node in self.nodes if node.type in LEAVES])
        return self._leaves

    @property
    def regions(self) -> dict[StateNode, tuple[StateNode, ...]]:
        """The children of every state that the value shows, in the key order of the value.

        This includes states that were not entered but have a place in the value: they are asked
        for transitions, but their actions do not run.
        """
        if self._regions is None:
            self._regions = regions_of(self.nodes)
        return self._regions

    @property
    def positions(self) -> dict[StateNode, int]:
        """The positions of the states in the order of asking for transitions, parents first."""
        if self._positions is None:
            regions = self.regions
            found: dict[StateNode, int] = {}
            waiting = [self.chart.root]
            while waiting:
                node = waiting.pop()
                found[node] = len(found)
                waiting += reversed(regions.get(node, ()))
            self._positions = found
        return self._positions

    @property
    def value(self) -> StateValue:
        """The state value, which consists of keys of states."""
        if self._value is None:
            if self._is_chain():
                self._value = value_of_chain(self.nodes)
            else:
                self._value = value_of_tree(self.chart.root, self.regions)
        return self._value

    @property
    def tags(self) -> frozenset[str]:
        """The tags of all active states."""
        return frozenset(tag for node in self.nodes for tag in node.tags)

    @property
    def meta(self) -> dict[str, object]:
        """The meta of the active states that have one, by state id."""
        return {node.id: node.meta for node in self.nodes if node.meta is not UNSET}

    def matches(self, value: PartialStateValue) -> bool:
        """Return whether all states that a partial state value names are active."""
        return matches(value, self.value)

    def test(self, guard: Guard) -> Callable[[Call], object]:
        """Return a function that evaluates a guard of the machine.

        Raises:
            MachineDefinitionError: If it is not a guard, or its name is unknown.
        """
        return self.chart.implementations.test(guard)

    def selector(self, event_type: str) -> Selector:
        """Return the selector for events of a type."""
        found = self.selectors.get(event_type)
        if found is None:
            found = Selector(self._branch(event_type))
            limit = most_entries(self.chart, _MOST_SELECTORS)
            remember(self.selectors, event_type, found, limit)
        return found

    def _branch(self, event_type: str) -> Branch | None:
        if self._is_chain():
            return branch_of_chain(self.nodes, event_type, self.chart.rules)
        takers = self.chart.takers(event_type)
        if not takers:
            return None
        positions = self.positions
        if len(takers) > len(positions):
            takers = list(positions)
        asked = [node for node in takers if node in positions]
        return branch_of_tree(asked, event_type, positions, self.chart.rules)

    def _is_chain(self) -> bool:
        """Return whether the states are a leaf and its ancestors, outermost first."""
        above = None
        for node in self.nodes:
            if node.parent is not above or node.type is PARALLEL:
                return False
            above = node
        return above is not None and above.type in LEAVES


class Nowhere(Configuration):
    """Takes the place of a configuration if a machine failed in its first step, as in 5.24.

    It is stored without a value. A proper configuration has a value even if no state is active,
    which history states can cause.
    """

    __slots__ = ()

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart, ())
