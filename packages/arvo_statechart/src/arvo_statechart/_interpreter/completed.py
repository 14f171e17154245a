"""Sets of states with everything that has to be active beside them."""

from collections.abc import Callable, Collection, Iterable, Iterator

from arvo_statechart._definition.states import PARALLEL, StateNode

from .entry_and_exit import EntrySet


def shown(nodes: Collection[StateNode]) -> Iterable[StateNode]:
    """Add to the active states what the value shows with them.

    A microstep can enter a state without its parents or its children. They have a place in the
    value all the same. As in XState, a history state that is an initial child stands there itself.
    """
    return _completed(nodes, _by_default)


def entered(nodes: Collection[StateNode]) -> Iterable[StateNode]:
    """Add to the states that somebody named what must be active with them."""
    return _completed(nodes, _by_entry)


def _completed(
    nodes: Collection[StateNode], entering: Callable[[StateNode], Iterable[StateNode]]
) -> Iterable[StateNode]:
    """Add first what is missing below, then what is above."""
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
