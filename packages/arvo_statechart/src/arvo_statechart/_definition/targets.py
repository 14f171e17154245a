"""From the text of a target to the state it names."""

from collections.abc import Iterable, Mapping

from arvo_statechart._errors import MachineDefinitionError
from arvo_statechart._state_value import split_path
from arvo_statechart._suggestion import unknown

from .states import StateNode


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
