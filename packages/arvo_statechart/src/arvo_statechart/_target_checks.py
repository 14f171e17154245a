"""Where transitions and history states may lead."""

from itertools import combinations

from ._node import StateNode, StateType
from ._problems import Path, Problems


def check_targets(targets: tuple[StateNode, ...], path: Path, problems: Problems) -> None:
    """Note targets that cannot all be entered together."""
    for one, other in combinations(targets, 2):
        if not _in_different_regions(one, other):
            problems.error(
                path,
                f"{one.id!r} and {other.id!r} cannot be entered together: "
                "several targets lie in different regions of one parallel state",
            )


def check_history(history: StateNode, path: Path, problems: Problems) -> None:
    """Note a history state whose default cannot take its place."""
    parent = history.ancestors[0]
    for target in history.default_targets():
        if any(further.type is StateType.HISTORY for further in _default_of(target)):
            problems.error(
                path,
                f"leads to {target.id!r} while nothing is recorded, a history state that leads to "
                "one in turn: give it a 'target' that is not a history state",
            )
        whole = target is parent and parent.type is StateType.PARALLEL
        if not whole and not target.bit & parent.descendants:
            problems.error(
                (*path, "target"), f"{target.id!r} does not lie below {parent.id!r}, its parent"
            )


def _default_of(target: StateNode) -> tuple[StateNode, ...]:
    return target.default_targets() if target.type is StateType.HISTORY else ()


def _in_different_regions(one: StateNode, other: StateNode) -> bool:
    for ancestor in one.ancestors:
        if other.bit & ancestor.descendants:
            return (
                ancestor.type is StateType.PARALLEL
                and _region_of(one, ancestor) is not _region_of(other, ancestor)
                and StateType.HISTORY
                not in {_region_of(one, ancestor).type, _region_of(other, ancestor).type}
            )
    return False


def _region_of(node: StateNode, parallel: StateNode) -> StateNode:
    return next(below for below in (node, *node.ancestors) if below.parent is parallel)
