"""Converts active states to a state value, and back."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from arvo_statechart._definition.states import (
    ATOMIC,
    COMPOUND,
    FINAL,
    PARALLEL,
    StateNode,
    document_order,
)
from arvo_statechart._errors import InvalidSnapshotError
from arvo_statechart._messages import short_repr, unknown
from arvo_statechart._state_value import StateValue, in_key_order

from .entry_and_exit import EntrySet

LEAVES: Final = frozenset({ATOMIC, FINAL})
"""The types of states that have no states below them."""


def regions_of(nodes: Collection[StateNode]) -> dict[StateNode, tuple[StateNode, ...]]:
    """Return the children of every state that the value shows, in the key order of the value.

    Args:
        nodes: The active states, in the order in which they were entered.
    """
    children: dict[StateNode, dict[str, StateNode]] = {}
    for node in _with_defaults(nodes):
        parent = node.parent
        if parent is not None:
            known = children.get(parent)
            if known is None:
                children[parent] = {node.key: node}
            else:
                known[node.key] = node
    return {
        parent: tuple(below.values()) if len(below) == 1 else _shown_children(parent, below)
        for parent, below in children.items()
    }


def _shown_children(parent: StateNode, below: dict[str, StateNode]) -> tuple[StateNode, ...]:
    """Return the active children that the value of their parent shows.

    Two regions that answer one event, one of them through a history state, can leave two children
    of one compound state active. As in XState, the value then decides: if the first one entered is a
    leaf, the value shows only that one, and a state that the value does not show is not asked.
    """
    if parent.type is COMPOUND:
        first = next(iter(below.values()))
        if first.type in LEAVES:
            return (first,)
    if parent.indexed:
        return tuple([below[key] for key in in_key_order(below)])
    return tuple(below.values())


def value_of_chain(nodes: Sequence[StateNode]) -> StateValue:
    """Return the value of a leaf and its ancestors, given outermost first."""
    if len(nodes) == 1:
        return {}
    value: StateValue = nodes[-1].key
    for node in nodes[-2:0:-1]:
        value = {node.key: value}
    return value


def value_of_tree(root: StateNode, regions: dict[StateNode, tuple[StateNode, ...]]) -> StateValue:
    """Return the value of a machine whose states show these children."""
    # In document order, the states below a state come after it.
    values: dict[StateNode, StateValue] = {}
    for node in sorted(regions, key=document_order, reverse=True):
        active = regions[node]
        if node.type is COMPOUND and len(active) == 1 and active[0].type in LEAVES:
            values[node] = active[0].key
        else:
            values[node] = {region.key: values.get(region, {}) for region in active}
    return values.get(root, {})


def states_of_value(root: StateNode, value: object) -> Iterable[StateNode]:
    """Return the active states of a state value.

    The order in which they were entered is not stored; the order of the value's keys takes its
    place. States that the value leaves out are entered by default.

    Raises:
        InvalidSnapshotError: If the value does not fit the machine.
    """
    return _with_entered(dict.fromkeys([root, *_named(root, value)]))


def _named(root: StateNode, value: object) -> Iterator[StateNode]:
    """Yield the states that a value names: the root's children first, then those below each."""
    waiting = [(root, value)]
    while waiting:
        node, named = waiting.pop()
        below = {named: {}} if isinstance(named, str) else named
        if not isinstance(below, dict):
            raise InvalidSnapshotError(
                "value of a stored snapshot: expected a string or a mapping for "
                f"{short_repr(node.id)}, got {type(named).__name__}"
            )
        # Several children of one compound state can be active, including a history state.
        shows_history = node.type is COMPOUND and not isinstance(named, str)
        find = node.child if shows_history else node.children.get
        children: list[tuple[StateNode, object]] = []
        for key in in_key_order(map(str, below)):
            child = find(key)
            if child is None or key not in below:
                raise InvalidSnapshotError(
                    f"value of a stored snapshot: below {short_repr(node.id)}, "
                    f"{unknown('state', key, node.children)}"
                )
            children.append((child, below[key]))
            yield child
        waiting += reversed(children)


def _with_defaults(nodes: Collection[StateNode]) -> Iterable[StateNode]:
    """Add the states that the value shows beside the active ones.

    A microstep can enter a state without its parents or its children; these have a place in the
    value anyway. As in XState, a history state that is an initial child is shown itself.
    """
    return _completed(nodes, _by_default)


def _with_entered(nodes: Collection[StateNode]) -> Iterable[StateNode]:
    """Add the states that must be active with the named ones."""
    return _completed(nodes, _by_entry)


def _completed(
    nodes: Collection[StateNode], entering: Callable[[StateNode], Iterable[StateNode]]
) -> Iterable[StateNode]:
    """Add the missing states below first, then those above."""
    parents = {node.parent for node in nodes}
    found = dict.fromkeys(nodes)
    if _is_complete(found, parents):
        return nodes
    for node in nodes:
        for missing in _missing(node, parents, found):
            found.update(dict.fromkeys(entering(missing)))
    for node in tuple(found):
        found.update(dict.fromkeys(node.ancestors))
    return found


def _is_complete(found: dict[StateNode, None], parents: set[StateNode | None]) -> bool:
    for node in found:
        if node.type is PARALLEL:
            for region in node.children.values():
                if region not in found:
                    return False
        elif node.initial is not None and node not in parents:
            return False
    return parents <= found.keys() | {None}


def _missing(
    node: StateNode, parents: set[StateNode | None], found: dict[StateNode, None]
) -> Iterable[StateNode]:
    if node.type is PARALLEL:
        return [region for region in node.children.values() if region not in found]
    if node.initial is None or node in parents:
        return ()
    return (node.initial,)


def _by_entry(node: StateNode) -> Iterable[StateNode]:
    entry = EntrySet({})
    entry.enter_by_default(node)
    entry.descend(node)
    return entry.in_document_order()


def _by_default(node: StateNode) -> Iterator[StateNode]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if node.type is PARALLEL:
            waiting += reversed(node.children.values())
        elif node.initial is not None:
            waiting.append(node.initial)
