"""Sets of states with everything that has to be active beside them."""

from collections.abc import Callable, Iterable, Iterator

from ._chart import Chart
from ._entry_set import EntrySet
from ._node import StateNode, StateType


def shown(nodes: Iterable[StateNode]) -> dict[StateNode, None]:
    """Add to the active states what the value shows with them.

    A microstep can enter a state without its parents or its children. They have a place in the
    value all the same. As in XState, a history state that is an initial child stands there itself.
    """
    return _completed(nodes, _by_default)


def entered(chart: Chart, nodes: Iterable[StateNode]) -> dict[StateNode, None]:
    """Add to the states that somebody named what must be active with them."""

    def by_entry(missing: StateNode) -> Iterable[StateNode]:
        entry = EntrySet({})
        entry.enter_by_default(missing)
        entry.descend(missing)
        return chart.members(entry.entering)

    return _completed(nodes, by_entry)


def _completed(
    nodes: Iterable[StateNode], entering: Callable[[StateNode], Iterable[StateNode]]
) -> dict[StateNode, None]:
    """Add first what is missing below, then what is above."""
    given = dict.fromkeys(nodes)
    found = dict(given)
    parents = {node.parent for node in given}
    for node in given:
        for missing in _missing(node, parents, found):
            found.update(dict.fromkeys(entering(missing)))
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


def _by_default(node: StateNode) -> Iterator[StateNode]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if node.type is StateType.PARALLEL:
            waiting += reversed(node.children.values())
        elif node.initial is not None:
            waiting.append(node.initial)
