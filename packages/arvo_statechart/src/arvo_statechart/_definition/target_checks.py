"""Where transitions and history states may lead."""

from itertools import pairwise

from arvo_statechart._messages import shown

from .problems import Place, Problems
from .states import HISTORY, PARALLEL, StateNode


def check_targets(targets: tuple[StateNode, ...], place: Place, problems: Problems) -> None:
    """Note targets that cannot all be entered together."""
    # In document order it is enough to look at neighbours: what two others have in common, two
    # neighbours between them have in common, too.
    for one, other in pairwise(sorted(targets, key=_number)):
        if not _in_different_regions(one, other):
            problems.error(
                place,
                f"{shown(one.id)} and {shown(other.id)} cannot be entered together: "
                "several targets lie in different regions of one parallel state",
            )


def _number(node: StateNode) -> int:
    return node.number


def check_history(history: StateNode, problems: Problems) -> None:
    """Note a history state whose default cannot take its place."""
    parent, place = history.ancestors[0], history.place
    for target in history.default_targets():
        if any(further.type is HISTORY for further in _default_of(target)):
            problems.error(
                place,
                f"leads to {shown(target.id)} while nothing is recorded, a history state that "
                "leads to one in turn: give it a 'target' that is not a history state",
            )
        whole = target is parent and parent.type is PARALLEL
        if not whole and not target.is_below(parent):
            problems.error(
                (place, "target"),
                f"{shown(target.id)} does not lie below {shown(parent.id)}, its parent",
            )


def _default_of(target: StateNode) -> tuple[StateNode, ...]:
    return target.default_targets() if target.type is HISTORY else ()


def _in_different_regions(one: StateNode, other: StateNode) -> bool:
    for ancestor in one.ancestors:
        if other.is_below(ancestor):
            return (
                ancestor.type is PARALLEL
                and _region_of(one, ancestor) is not _region_of(other, ancestor)
                and HISTORY
                not in {_region_of(one, ancestor).type, _region_of(other, ancestor).type}
            )
    return False


def _region_of(node: StateNode, parallel: StateNode) -> StateNode:
    return next(below for below in (node, *node.ancestors) if below.parent is parallel)
