"""Sets of states with everything that has to be active beside them."""

from collections.abc import Iterable

from ._chart import Chart
from ._entry_set import EntrySet
from ._node import StateNode, StateType


def completed(chart: Chart, nodes: Iterable[StateNode]) -> dict[StateNode, None]:
    """Add to some states what must be active with them: first what is below, then what is above.

    What is below is added as if it were entered by default.
    """
    given = dict.fromkeys(nodes)
    found = dict(given)
    parents = {node.parent for node in given}
    for node in given:
        for missing in _missing(node, parents, found):
            entry = EntrySet({})
            entry.enter_by_default(missing)
            entry.descend(missing)
            found.update(dict.fromkeys(chart.members(entry.entering)))
    for node in tuple(found):
        found.update(dict.fromkeys(node.ancestors))
    return found


def _missing(
    node: StateNode, parents: set[StateNode | None], found: dict[StateNode, None]
) -> Iterable[StateNode]:
    if node.type is StateType.PARALLEL:
        return [region for region in node.children.values() if region not in found]
    if node.initial is None or node in parents:
        return ()
    return (node.initial,)
