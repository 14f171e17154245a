"""Resolves targets, and checks where transitions and history states may lead."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from arvo_statechart._errors import MachineDefinitionError
from arvo_statechart._messages import short_repr, unknown
from arvo_statechart._state_value import split_path

from .problems import Place, Problems
from .states import HISTORY, PARALLEL, StateNode, document_order


def state_of_target(target: str, source: StateNode, by_id: Mapping[str, StateNode]) -> StateNode:
    """Return the state that a target names, seen from the state that names it.

    Raises:
        MachineDefinitionError: If there is no such state.
    """
    if target.startswith("#"):
        return state_of_id(target, by_id)
    if target.startswith("."):
        return _below(source, split_path(target[1:]), target)
    if source.parent is None:
        raise MachineDefinitionError(
            f"target {target!r} of the root: write {'.' + target!r} for a state of the machine"
        )
    return _below(source.parent, split_path(target), target)


def state_of_id(target: str, by_id: Mapping[str, StateNode]) -> StateNode:
    """Return the state that `#id` or `#id.child.path` names.

    Raises:
        MachineDefinitionError: If there is no such state.
    """
    state_id, *path = split_path(target[1:])
    if state_id in by_id:
        return _below(by_id[state_id], path, target)
    if target[1:] in by_id:
        escaped = "#" + target[1:].replace(".", "\\.")
        raise MachineDefinitionError(
            f"unknown target {target!r}: dots in an id are escaped, so write {escaped!r}"
        )
    raise MachineDefinitionError(unknown("target", target, (f"#{known}" for known in by_id)))


def _below(node: StateNode, path: Iterable[str], target: str) -> StateNode:
    for key in path:
        child = node.child(key)
        if child is None:
            known = (*node.children, *node.histories)
            raise MachineDefinitionError(
                f"target {target!r} does not lead to a state: "
                f"below {node.id!r}, {unknown('state', key, known)}"
            )
        node = child
    return node


def check_targets(targets: tuple[StateNode, ...], place: Place, problems: Problems) -> None:
    """Note targets that cannot all be entered together."""
    # In document order it is enough to compare neighbours: an ancestor that two others have in
    # common is common to the neighbours between them, too.
    for one, other in pairwise(sorted(targets, key=document_order)):
        if not _in_different_regions(one, other):
            problems.error(
                place,
                f"{short_repr(one.id)} and {short_repr(other.id)} cannot be entered together: "
                "several targets must be in different regions of one parallel state",
            )


def check_history(history: StateNode, problems: Problems) -> None:
    """Note a history state whose default is not allowed."""
    parent, place = history.ancestors[0], history.place
    for target in history.default_targets():
        if any(further.type is HISTORY for further in _default_of(target)):
            problems.error(
                place,
                f"leads to the history state {short_repr(target.id)} while nothing is recorded, which "
                "leads to another one: give it a 'target' that is not a history state",
            )
        whole = target is parent and parent.type is PARALLEL
        if not whole and not target.is_below(parent):
            problems.error(
                (place, "target"),
                f"{short_repr(target.id)} is not below {short_repr(parent.id)}, the parent of the "
                "history state",
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
