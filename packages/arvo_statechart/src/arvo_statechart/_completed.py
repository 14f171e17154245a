"""Sets of states with everything that has to be active beside them."""

from collections.abc import Collection, Iterable

from ._entry_set import EntrySet
from ._node import PARALLEL, StateNode


def completed(nodes: Collection[StateNode]) -> Iterable[StateNode]:
    """Add to some states what must be active with them: first what is below, then what is above.

    What is below is added as if it were entered by default.
    """
    parents = {node.parent for node in nodes}
    found = dict.fromkeys(nodes)
    if _is_complete(found, parents):
        return nodes
    for node in nodes:
        for missing in _missing(node, parents, found):
            entry = EntrySet({})
            entry.enter_by_default(missing)
            entry.descend(missing)
            found.update(dict.fromkeys(entry.in_document_order()))
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
