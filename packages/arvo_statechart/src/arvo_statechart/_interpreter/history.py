"""What history states remember."""

from collections.abc import Iterable
from typing import TypeAlias

from arvo_statechart._definition.states import StateNode

from .configuration import Configuration

History: TypeAlias = tuple[tuple[StateNode, tuple[StateNode, ...]], ...]
"""The recorded states of each history state that has recorded any. Can be hashed."""


def record(history: History, exited: Iterable[StateNode], configuration: Configuration) -> History:
    """Return the history after these states were left.

    Args:
        history: What was recorded before.
        exited: The states being left.
        configuration: The active states before any of them is left.
    """
    keepers = [keeper for node in exited for keeper in node.histories.values()]
    if not keepers:
        return history
    found: dict[StateNode, list[StateNode]] = {keeper: [] for keeper in keepers}
    for active in configuration.nodes:
        if active.parent is not None:
            for keeper in active.parent.histories.values():
                if not keeper.deep and keeper in found:
                    found[keeper].append(active)
    for leaf in configuration.leaves:
        for ancestor in leaf.ancestors:
            for keeper in ancestor.histories.values():
                if keeper.deep and keeper in found:
                    found[keeper].append(leaf)
    remembered = dict(history)
    remembered.update((keeper, tuple(nodes)) for keeper, nodes in found.items())
    return tuple(remembered.items())
