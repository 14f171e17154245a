"""Which states a transition leaves, and which transitions exclude each other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from ._node import StateNode, StateType, Transition

Remembered: TypeAlias = Mapping[StateNode, tuple[StateNode, ...]]
"""The recorded states of each history state that has recorded any."""


class ActiveStates(Protocol):
    """The states that are active before a microstep."""

    @property
    def in_document_order(self) -> Sequence[StateNode]:
        """All of them."""

    def below(self, node: StateNode) -> Sequence[StateNode]:
        """Return those below a state, in document order."""


def effective_targets(transition: Transition, remembered: Remembered) -> Sequence[StateNode]:
    """Return the targets with what they stand for in the place of history states."""
    targets = transition.targets
    if len(targets) == 1 and targets[0].type is not StateType.HISTORY:
        return targets
    found: dict[StateNode, None] = {}
    for target in targets:
        if target.type is StateType.HISTORY:
            found.update(dict.fromkeys(remembered.get(target, target.default_targets())))
        else:
            found[target] = None
    return list(found)


def domain_of(transition: Transition, targets: Sequence[StateNode]) -> StateNode | None:
    """Return the state that stays active while all below it is left; None is above the root.

    It is the source itself only if the transition does not reenter.

    Args:
        transition: The transition.
        targets: Its effective targets.
    """
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
    """Return the transitions that are taken together, each with what it leaves.

    Two conflict if they leave a common state. The one whose source lies deeper wins; between
    others the first does.

    Args:
        transitions: The enabled transitions.
        active: The active states.
        remembered: What is remembered before the microstep.
    """
    kept: dict[Transition, Sequence[StateNode]] = {}
    # Which of those kept leaves a state.
    leaves: dict[StateNode, Transition] = {}
    for transition in transitions:
        leaving = _exit_set(transition, active, remembered)
        if leaves and not _replaces_rivals(transition, leaving, leaves, kept):
            continue
        kept[transition] = leaving
        for node in leaving:
            leaves[node] = transition
    return kept


def _exit_set(
    transition: Transition, active: ActiveStates, remembered: Remembered
) -> Sequence[StateNode]:
    """Return the active states that a transition leaves, in document order."""
    if not transition.targets:
        return ()
    domain = domain_of(transition, effective_targets(transition, remembered))
    return active.in_document_order if domain is None else active.below(domain)


def _replaces_rivals(
    transition: Transition,
    leaving: Iterable[StateNode],
    leaves: dict[StateNode, Transition],
    kept: dict[Transition, Sequence[StateNode]],
) -> bool:
    """Return whether a transition is taken, and drop those kept that it then excludes."""
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
