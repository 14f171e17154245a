"""Which states transitions enter."""

from collections.abc import Iterator

from ._exit_set import Remembered, domain_of, effective_targets
from ._node import StateNode, StateType, Transition


class EntrySet:
    """The states that transitions enter, as masks.

    Attributes:
        entering: All of them; some may be active already and are entered again.
        by_default: Those whose initial actions run.
    """

    __slots__ = ("_remembered", "by_default", "entering")

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered
        self.entering = 0
        self.by_default = 0

    def follow(self, transition: Transition) -> None:
        """Add what a transition enters."""
        source = transition.source
        domain = domain_of(transition, self._remembered)
        for target in transition.targets:
            # A state that stays active is not entered again.
            if not (target is source is domain):
                self.enter_by_default(target)
            self.descend(target)
        for target in effective_targets(transition, self._remembered):
            ancestors = _ancestors_below(target, domain)
            if domain is not None and domain.type is StateType.PARALLEL:
                ancestors.append(domain)
            self._enter_ancestors(ancestors, domain)

    def enter_by_default(self, node: StateNode) -> None:
        """Add one state, whose initial actions run."""
        # A history state stands for others; it is never active itself.
        if node.type is not StateType.HISTORY:
            self.entering |= node.bit
            self.by_default |= node.bit

    def descend(self, node: StateNode) -> None:
        """Add what becomes active below a state."""
        if node.type is StateType.HISTORY:
            self._descend_history(node)
        elif node.type is StateType.PARALLEL:
            for region in self._regions_to_enter(node):
                self.enter_by_default(region)
                self.descend(region)
        elif node.initial is not None:
            self.enter_by_default(node.initial)
            self.descend(node.initial)

    def _descend_history(self, history: StateNode) -> None:
        recorded = self._remembered.get(history)
        targets = history.default_targets() if recorded is None else recorded
        if recorded is None and targets and history.default is None:
            # It takes the place of the initial transition, whose actions are its parent's.
            self.by_default |= history.ancestors[0].bit
        for target in targets:
            # As in XState, a history state that is a default becomes active beside what it stands
            # for. Once recorded, it is followed no more: XState would go round in circles.
            self.entering |= target.bit
            if recorded is None or target.type is not StateType.HISTORY:
                self.descend(target)
        for target in targets:
            self._enter_ancestors(_ancestors_below(target, history.parent), None)

    def _enter_ancestors(self, ancestors: list[StateNode], domain: StateNode | None) -> None:
        """Enter states on the way to one that is entered, and what else must be active there."""
        for ancestor in ancestors:
            if domain is None or ancestor.bit & domain.descendants:
                self.entering |= ancestor.bit
            if ancestor.type is StateType.PARALLEL:
                for region in self._regions_to_enter(ancestor):
                    # Not by default: the initial actions of such a region do not run.
                    self.entering |= region.bit
                    self.descend(region)

    def _regions_to_enter(self, parallel: StateNode) -> Iterator[StateNode]:
        """Yield the regions below which nothing is entered yet, looking anew at each."""
        for region in parallel.children.values():
            if not self.entering & region.descendants:
                yield region


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
