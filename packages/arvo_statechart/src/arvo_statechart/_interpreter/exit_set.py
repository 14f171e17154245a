"""Which states a transition leaves, and which transitions exclude each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from arvo_statechart._definition.states import HISTORY, Route, StateNode, Transition

Remembered: TypeAlias = Mapping[StateNode, tuple[StateNode, ...]]
"""The recorded states of each history state that has recorded any."""


class ActiveStates(Protocol):
    """The states that are active before a microstep."""

    @property
    def in_document_order(self) -> Sequence[StateNode]:
        """All of them."""

    def below(self, node: StateNode) -> Sequence[StateNode]:
        """Return those below a state, in document order."""


def route_of(transition: Transition, remembered: Remembered) -> Route:
    """Return where a transition leads: to which states, and within which domain.

    History states are replaced by what they stand for. The domain is the state that stays active
    while all below it is left; it is the source itself only if the transition does not reenter.
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
        found.update(dict.fromkeys(_stood_for(target, remembered)))
    return list(found)


def _stood_for(target: StateNode, remembered: Remembered) -> Iterator[StateNode]:
    if target.type is not HISTORY:
        yield target
    elif target in remembered:
        yield from remembered[target]
    else:
        # One that leads to a history state by default: that one leads on to none.
        for default in target.default_targets():
            yield from _stood_for(default, remembered)


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
    """Return the transitions that are taken together, each with what it leaves.

    Two conflict if they leave a common state. The one whose source lies deeper wins; between
    others the first does.

    Args:
        transitions: The enabled transitions.
        active: The active states.
        remembered: What is remembered before the microstep.
    """
    kept: dict[Transition, Sequence[StateNode]] = {}
    # Which of those kept leaves a state; made when there is a second that leaves some.
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
