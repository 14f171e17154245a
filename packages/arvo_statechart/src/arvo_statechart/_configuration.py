"""The set of active states, and all that follows from it alone."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._chart import BoundedCache, Chart
from ._completed import shown
from ._node import UNSET, StateNode, StateType, Transition
from ._selection import Eventless, Selector
from ._state_value import PartialStateValue, StateValue, in_key_order, matches

if TYPE_CHECKING:
    from ._history import History
    from ._plan import Plan

_LEAVES = {StateType.ATOMIC, StateType.FINAL}


class Configuration:
    """The active states of a machine, in the order in which they were entered.

    The order is part of it: it decides the key order of the value, and with it the order in
    which regions are asked for transitions.
    """

    __slots__ = (
        "chart",
        "eventless",
        "leaves",
        "mask",
        "nodes",
        "plans",
        "regions",
        "selectors",
        "value",
    )

    def __init__(self, chart: Chart, nodes: tuple[StateNode, ...]) -> None:
        self.chart: Chart = chart
        self.nodes: tuple[StateNode, ...] = nodes
        self.mask: int = mask_of(nodes)
        self.leaves: tuple[StateNode, ...] = tuple(node for node in nodes if node.type in _LEAVES)
        # Including states that were not entered but have a place in the value: they are asked
        # for transitions, but their actions do not run.
        self.regions: dict[StateNode, tuple[StateNode, ...]] = _regions(shown(nodes))
        self.value: StateValue = self._value_of(chart.root)
        self.eventless: Eventless = Eventless(self.leaves)
        self.selectors: BoundedCache[str, Selector] = BoundedCache(128)
        # By transitions and history: see `plan_of`.
        self.plans: BoundedCache[tuple[tuple[Transition, ...], History], Plan] = BoundedCache(128)

    def _value_of(self, node: StateNode) -> StateValue:
        regions = self.regions.get(node, ())
        if node.type is StateType.COMPOUND and len(regions) == 1 and regions[0].type in _LEAVES:
            return regions[0].key
        return {region.key: self._value_of(region) for region in regions}

    @property
    def tags(self) -> frozenset[str]:
        """The tags of all active states."""
        return frozenset(tag for node in self.nodes for tag in node.tags)

    @property
    def meta(self) -> dict[str, object]:
        """The meta of the active states that have one, by state id."""
        return {node.id: node.meta for node in self.nodes if node.meta is not UNSET}

    def matches(self, value: PartialStateValue) -> bool:
        """Whether everything that a part of a state value names is active."""
        return matches(value, self.value)

    def selector(self, event_type: str) -> Selector:
        """Return what chooses the transitions for events of a type."""
        found = self.selectors.get(event_type)
        if found is None:
            found = Selector(
                self.chart.root,
                regions=self.regions,
                event_type=event_type,
                rules=self.chart.rules,
            )
            self.selectors.keep(event_type, found)
        return found


class Nowhere(Configuration):
    """What a machine has in place of a configuration if it failed in its first step, as in 5.24.

    It is stored without a value. A machine that is somewhere has one even if no state is active,
    which history states can bring about.
    """

    __slots__ = ()

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart, ())


def configuration_of(chart: Chart, nodes: Iterable[StateNode]) -> Configuration:
    """Return the one configuration of these states in this order."""
    key = tuple(nodes)
    found = chart.configurations.get(key)
    if found is None:
        found = chart.configurations.keep(key, Configuration(chart, key))
    return found


def mask_of(nodes: Iterable[StateNode]) -> int:
    """Return the set of these states."""
    mask = 0
    for node in nodes:
        mask |= node.bit
    return mask


def _regions(nodes: Iterable[StateNode]) -> dict[StateNode, tuple[StateNode, ...]]:
    """Return the children that the value shows of every state, in the key order of the value."""
    children: dict[StateNode, dict[str, StateNode]] = {}
    for node in nodes:
        if node.parent is not None:
            children.setdefault(node.parent, {})[node.key] = node
    return {parent: _shown(parent, below) for parent, below in children.items()}


def _shown(parent: StateNode, below: dict[str, StateNode]) -> tuple[StateNode, ...]:
    """Return the active children that the value of their parent shows.

    Two regions that answer one event, one of them by way of a history state, can leave two
    children of one compound state active. Like XState we then go by the value: a leaf that was
    entered first stands for its parent alone, and what the value does not show is not asked.
    """
    if len(below) > 1 and parent.type is StateType.COMPOUND:
        first = next(iter(below.values()))
        if first.type in _LEAVES:
            return (first,)
    return tuple(below[key] for key in in_key_order(below))
