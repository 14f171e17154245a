"""Which states transitions leave and enter, and which of them history states remember."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from arvo_statechart._definition.states import (
    HISTORY,
    PARALLEL,
    Route,
    StateNode,
    Transition,
    document_order,
)

History: TypeAlias = tuple[tuple[StateNode, tuple[StateNode, ...]], ...]
"""The recorded states of each history state that has recorded any; hashable."""

Remembered: TypeAlias = Mapping[StateNode, tuple[StateNode, ...]]
"""The same as a mapping."""


class ActiveStates(Protocol):
    """The states that are active before a microstep."""

    @property
    def nodes(self) -> Sequence[StateNode]:
        """The active states, in the order in which they were entered."""

    @property
    def leaves(self) -> Sequence[StateNode]:
        """The active states without states below them."""

    @property
    def in_document_order(self) -> Sequence[StateNode]:
        """The active states, in document order."""

    def below(self, node: StateNode) -> Sequence[StateNode]:
        """Return the active states below a state, in document order."""


def route_of(transition: Transition, remembered: Remembered) -> Route:
    """Return where a transition leads: to which states, and within which domain.

    History states are replaced by the states that they stand for. The domain is the state that stays
    active while everything below it is left; it is the source only if the transition does not reenter.
    """
    if transition.route is not None:
        return transition.route
    for target in transition.targets:
        if target.type is HISTORY:
            targets = _effective_targets(transition.targets, remembered)
            return targets, _domain_of(transition, targets)
    route = transition.route = (
        transition.targets,
        _domain_of(transition, transition.targets),
    )
    return route


def _effective_targets(targets: Iterable[StateNode], remembered: Remembered) -> Sequence[StateNode]:
    found: dict[StateNode, None] = {}
    for target in targets:
        found.update(dict.fromkeys(_states_for(target, remembered)))
    return list(found)


def _states_for(target: StateNode, remembered: Remembered) -> Iterator[StateNode]:
    if target.type is not HISTORY:
        yield target
    elif target in remembered:
        yield from remembered[target]
    else:
        # The default may be another history state, but the default of that one is not.
        for default in target.default_targets():
            yield from _states_for(default, remembered)


def _domain_of(transition: Transition, targets: Sequence[StateNode]) -> StateNode | None:
    source = transition.source
    if not transition.reenter:
        first, last = source.number, source.last
        for target in targets:
            if not first <= target.number <= last:
                break
        else:
            return source
    for ancestor in (targets[0] if targets else source).ancestors:
        first, last = ancestor.number, ancestor.last
        if first < source.number <= last:
            for target in targets:
                if not first < target.number <= last:
                    break
            else:
                return ancestor
    return None if transition.reenter else source.root


def exit_sets(
    transitions: Iterable[Transition], active: ActiveStates, remembered: Remembered
) -> dict[Transition, Sequence[StateNode]]:
    """Return the transitions that are taken together, each with the states that it leaves.

    Two transitions conflict if they leave a common state. If the source of one is below that of the
    other, the deeper one wins; otherwise the first one wins.

    Args:
        transitions: The enabled transitions.
        active: The active states.
        remembered: The recorded states before the microstep.
    """
    kept: dict[Transition, Sequence[StateNode]] = {}
    # Which of the kept transitions leaves a state; filled when a second one leaves any.
    leaves: dict[StateNode, Transition] = {}
    for transition in transitions:
        leaving = _exit_set(transition, active, remembered)
        if kept and leaving:
            if not leaves:
                leaves = {node: first for first, theirs in kept.items() for node in theirs}
            if not _replaces_rivals(transition, leaving, leaves, kept):
                continue
            for node in leaving:
                leaves[node] = transition
        kept[transition] = leaving
    return kept


def _exit_set(
    transition: Transition, active: ActiveStates, remembered: Remembered
) -> Sequence[StateNode]:
    """Return the active states that a transition leaves, in document order."""
    if not transition.targets:
        return ()
    _, domain = route_of(transition, remembered)
    return active.in_document_order if domain is None else active.below(domain)


def _replaces_rivals(
    transition: Transition,
    leaving: Iterable[StateNode],
    leaves: dict[StateNode, Transition],
    kept: dict[Transition, Sequence[StateNode]],
) -> bool:
    """Return whether a transition is taken, and if so, drop the kept ones that it replaces."""
    rivals: set[Transition] = set()
    for node in leaving:
        rival = leaves.get(node)
        if rival is not None and rival not in rivals:
            if not transition.source.is_below(rival.source):
                return False
            rivals.add(rival)
    for rival in rivals:
        for node in kept.pop(rival):
            del leaves[node]
    return True


def record(history: History, exited: Iterable[StateNode], active: ActiveStates) -> History:
    """Return the history after states were left.

    Args:
        history: The history before.
        exited: The states being left.
        active: The active states before any of them is left.
    """
    keepers = [keeper for node in exited for keeper in node.histories.values()]
    if not keepers:
        return history
    found: dict[StateNode, list[StateNode]] = {keeper: [] for keeper in keepers}
    for node in active.nodes:
        if node.parent is not None:
            for keeper in node.parent.histories.values():
                if not keeper.deep and keeper in found:
                    found[keeper].append(node)
    for leaf in active.leaves:
        for ancestor in leaf.ancestors:
            for keeper in ancestor.histories.values():
                if keeper.deep and keeper in found:
                    found[keeper].append(leaf)
    remembered = dict(history)
    remembered.update((keeper, tuple(nodes)) for keeper, nodes in found.items())
    return tuple(remembered.items())


class _Entered(NamedTuple):
    """A history state whose targets were entered, but not yet the states between it and them."""

    history: StateNode
    targets: Sequence[StateNode]


class EntrySet:
    """The states that transitions enter.

    States below a state are entered without recursion: states may be nested 1,000 levels deep.

    Attributes:
        entering: All states that are entered; some may be active already and are entered again.
        by_default: The states whose initial actions run.
    """

    __slots__ = ("_filled", "_occupied", "_remembered", "_unmarked", "by_default", "entering")

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered
        self.entering: set[StateNode] = set()
        self.by_default: set[StateNode] = set()
        # The states below which a state is entered, except ancestors of the unmarked ones.
        self._occupied: set[StateNode] = set()
        self._unmarked: list[StateNode] = []
        # The parallel states above a target whose other regions are entered.
        self._filled: set[StateNode] = set()

    def in_document_order(self) -> list[StateNode]:
        """Return the states being entered, in document order."""
        entering = self.entering
        return sorted(entering, key=document_order) if len(entering) > 1 else list(entering)

    def follow(self, transition: Transition) -> None:
        """Add the states that a transition enters."""
        source = transition.source
        targets, domain = route_of(transition, self._remembered)
        for target in transition.targets:
            # A state that stays active is not entered again.
            if not (target is source is domain):
                self.enter_by_default(target)
            self.descend(target)
        for target in targets:
            ancestors = _ancestors_below(target, domain)
            if domain is not None and domain.type is PARALLEL:
                ancestors.append(domain)
            if ancestors:
                self._descend(self._enter_ancestors(ancestors, domain))

    def enter_by_default(self, node: StateNode) -> None:
        """Add one state, whose initial actions run."""
        # A history state stands for others and is never active itself.
        if node.type is not HISTORY:
            self.entering.add(node)
            self._unmarked.append(node)
            self.by_default.add(node)

    def _enter(self, node: StateNode) -> None:
        self.entering.add(node)
        self._unmarked.append(node)

    def descend(self, node: StateNode) -> None:
        """Add the states that become active below a state."""
        if node.initial is not None or node.type in _BRANCHING:
            self._descend([node])

    def _descend(self, waiting: list[StateNode | _Entered]) -> None:
        while waiting:
            item = waiting.pop()
            if isinstance(item, _Entered):
                for target in item.targets:
                    ancestors = _ancestors_below(target, item.history.parent)
                    waiting += self._enter_ancestors(ancestors, None)
            elif item.type is HISTORY:
                self._enter_history(item, waiting)
            elif item.type is PARALLEL:
                for region in self._regions_to_enter(item):
                    self.enter_by_default(region)
                    waiting.append(region)
            elif item.initial is not None:
                self.enter_by_default(item.initial)
                waiting.append(item.initial)

    def _enter_history(self, history: StateNode, waiting: list[StateNode | _Entered]) -> None:
        recorded = self._remembered.get(history)
        targets = history.default_targets() if recorded is None else recorded
        if recorded is None and targets and history.default is None:
            # It takes the place of the initial transition, whose actions belong to the parent.
            self.by_default.add(history.ancestors[0])
        # First all states below the targets, then those between.
        waiting.append(_Entered(history, targets))
        for target in targets:
            # As in XState, a history state that is a default becomes active beside the states that
            # it stands for. Once recorded, it is not followed any more: XState would never end.
            self._enter(target)
            if recorded is None or target.type is not HISTORY:
                waiting.append(target)

    def _enter_ancestors(
        self, ancestors: Iterable[StateNode], domain: StateNode | None
    ) -> list[StateNode | _Entered]:
        """Enter the states above a target, and the other regions that must be active with them.

        Returns:
            The regions that were entered, whose inner states must be entered next.
        """
        regions: list[StateNode | _Entered] = []
        for ancestor in ancestors:
            if domain is None or ancestor.is_below(domain):
                self._enter(ancestor)
            if ancestor.type is PARALLEL and ancestor not in self._filled:
                self._filled.add(ancestor)
                for region in self._regions_to_enter(ancestor):
                    # Not by default, as the initial actions of such a region do not run.
                    self._enter(region)
                    regions.append(region)
        return regions

    def _regions_to_enter(self, parallel: StateNode) -> list[StateNode]:
        """Return the regions in which no state is entered yet."""
        occupied = self._occupied
        for node in self._unmarked:
            for ancestor in node.ancestors:
                if ancestor in occupied:
                    break
                occupied.add(ancestor)
        self._unmarked.clear()
        return [region for region in parallel.children.values() if region not in occupied]


_BRANCHING = frozenset({PARALLEL, HISTORY})


def _ancestors_below(node: StateNode, domain: StateNode | None) -> list[StateNode]:
    """Return the ancestors of a state, nearest first, up to but without the domain."""
    if node is domain:
        return []
    found: list[StateNode] = []
    for ancestor in node.ancestors:
        if ancestor is domain:
            break
        found.append(ancestor)
    return found
