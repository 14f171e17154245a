"""Which states a transition leaves, and which transitions exclude each other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from ._node import StateNode, StateType, Transition

Remembered: TypeAlias = Mapping[StateNode, tuple[StateNode, ...]]
"""The recorded states of each history state that has recorded any."""


def effective_targets(transition: Transition, remembered: Remembered) -> list[StateNode]:
    """Return the targets with what they stand for in the place of history states."""
    found: dict[StateNode, None] = {}
    for target in transition.targets:
        found.update(dict.fromkeys(_stood_for(target, remembered)))
    return list(found)


def _stood_for(target: StateNode, remembered: Remembered) -> Iterator[StateNode]:
    if target.type is not StateType.HISTORY:
        yield target
    elif target in remembered:
        yield from remembered[target]
    else:
        # One that leads to a history state by default: that one leads on to none.
        for default in target.default_targets():
            yield from _stood_for(default, remembered)


def domain_of(transition: Transition, remembered: Remembered) -> StateNode | None:
    """Return the state that stays active while all below it is left; None is above the root.

    It is the source itself only if the transition does not reenter.
    """
    source = transition.source
    targets = effective_targets(transition, remembered)
    inside = source.bit | source.descendants
    if not transition.reenter and all(target.bit & inside for target in targets):
        return source
    first, *others = (*targets, source)
    for ancestor in first.ancestors:
        if all(other.bit & ancestor.descendants for other in others):
            return ancestor
    return None if transition.reenter else (source, *source.ancestors)[-1]


def exit_set(transition: Transition, active: int, remembered: Remembered) -> int:
    """Return the active states that a transition leaves, as a mask."""
    if not transition.targets:
        return 0
    domain = domain_of(transition, remembered)
    return active if domain is None else active & domain.descendants


def without_conflicts(
    transitions: Iterable[Transition], active: int, remembered: Remembered
) -> dict[Transition, int]:
    """Return the transitions that are taken together, each with its exit set.

    Two conflict if they leave a common state. The one whose source lies deeper wins; between
    others the first does.
    """
    kept: dict[Transition, int] = {}
    for transition in transitions:
        leaving = exit_set(transition, active, remembered)
        rivals = [rival for rival, theirs in kept.items() if leaving & theirs]
        if all(transition.source.bit & rival.source.descendants for rival in rivals):
            for rival in rivals:
                del kept[rival]
            kept[transition] = leaving
    return kept
