"""Which states transitions enter."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from arvo_statechart._definition.states import HISTORY, PARALLEL, StateNode, Transition

from .exit_set import Remembered, route_of


class _Entered(NamedTuple):
    """What a history state stands for, entered but for what lies between it and those states."""

    history: StateNode
    targets: Sequence[StateNode]


class EntrySet:
    """The states that transitions enter.

    What is below a state is entered without recursion: states may be nested 1,000 levels deep.

    Attributes:
        entering: All of them; some may be active already and are entered again.
        by_default: Those whose initial actions run.
    """

    __slots__ = ("_filled", "_occupied", "_remembered", "_unmarked", "by_default", "entering")

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered
        self.entering: set[StateNode] = set()
        self.by_default: set[StateNode] = set()
        # The states below which something is entered, but for those above the unmarked.
        self._occupied: set[StateNode] = set()
        self._unmarked: list[StateNode] = []
        # The parallel states above a target whose other regions are entered.
        self._filled: set[StateNode] = set()

    def in_document_order(self) -> list[StateNode]:
        """Return the states being entered."""
        entering = self.entering
        return sorted(entering, key=_number) if len(entering) > 1 else list(entering)

    def follow(self, transition: Transition) -> None:
        """Add what a transition enters."""
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
        # A history state stands for others; it is never active itself.
        if node.type is not HISTORY:
            self.entering.add(node)
            self._unmarked.append(node)
            self.by_default.add(node)

    def _enter(self, node: StateNode) -> None:
        self.entering.add(node)
        self._unmarked.append(node)

    def descend(self, node: StateNode) -> None:
        """Add what becomes active below a state."""
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
            # It takes the place of the initial transition, whose actions are its parent's.
            self.by_default.add(history.ancestors[0])
        # First all that is below the targets, then what is between.
        waiting.append(_Entered(history, targets))
        for target in targets:
            # As in XState, a history state that is a default becomes active beside what it stands
            # for. Once recorded, it is followed no more: XState would go round in circles.
            self._enter(target)
            if recorded is None or target.type is not HISTORY:
                waiting.append(target)

    def _enter_ancestors(
        self, ancestors: Iterable[StateNode], domain: StateNode | None
    ) -> list[StateNode | _Entered]:
        """Enter states on the way to one that is entered, and what else must be active there.

        Returns:
            The regions entered, to go on below.
        """
        regions: list[StateNode | _Entered] = []
        for ancestor in ancestors:
            if domain is None or ancestor.is_below(domain):
                self._enter(ancestor)
            if ancestor.type is PARALLEL and ancestor not in self._filled:
                self._filled.add(ancestor)
                for region in self._regions_to_enter(ancestor):
                    # Not by default: the initial actions of such a region do not run.
                    self._enter(region)
                    regions.append(region)
        return regions

    def _regions_to_enter(self, parallel: StateNode) -> list[StateNode]:
        """Return the regions below which nothing is entered yet."""
        occupied = self._occupied
        for node in self._unmarked:
            for ancestor in node.ancestors:
                if ancestor in occupied:
                    break
                occupied.add(ancestor)
        self._unmarked.clear()
        return [region for region in parallel.children.values() if region not in occupied]


_BRANCHING = frozenset({PARALLEL, HISTORY})


def _number(node: StateNode) -> int:
    return node.number


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
