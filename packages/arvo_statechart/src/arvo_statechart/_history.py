"""What history states remember."""

from typing import TypeAlias

from ._configuration import Configuration
from ._node import StateNode

History: TypeAlias = tuple[tuple[StateNode, tuple[StateNode, ...]], ...]
"""The recorded states of each history state that has recorded any. Can be hashed."""


def record(history: History, exited: list[StateNode], configuration: Configuration) -> History:
    """Return the history after these states were left.

    Args:
        history: What was recorded before.
        exited: The states being left.
        configuration: The active states before any of them is left.
    """
    remembered = dict(history)
    for node in exited:
        for keeper in node.histories.values():
            if keeper.deep:
                found = [leaf for leaf in configuration.leaves if leaf.bit & node.descendants]
            else:
                found = [active for active in configuration.nodes if active.parent is node]
            remembered[keeper] = tuple(found)
    return tuple(remembered.items())
