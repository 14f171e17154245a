"""From a stored state value back to the active states."""

from collections.abc import Iterable, Iterator

from arvo_statechart._definition.states import COMPOUND, StateNode
from arvo_statechart._errors import InvalidSnapshotError
from arvo_statechart._messages import shown
from arvo_statechart._state_value import in_key_order
from arvo_statechart._suggestion import unknown

from .completed import entered


def states_of_value(root: StateNode, value: object) -> Iterable[StateNode]:
    """Return the active states that a state value stands for.

    The order in which they were entered is not stored. In its place comes the order of the
    value's keys; what the value leaves out is entered by default.

    Raises:
        InvalidSnapshotError: If the value does not fit the machine.
    """
    return entered(dict.fromkeys([root, *_named(root, value)]))


def _named(root: StateNode, value: object) -> Iterator[StateNode]:
    """Yield what a value names below the root: its children first, then what is below each."""
    waiting = [(root, value)]
    while waiting:
        node, named = waiting.pop()
        below = {named: {}} if isinstance(named, str) else named
        if not isinstance(below, dict):
            raise InvalidSnapshotError(
                f"value of a stored snapshot: expected a text or a mapping for {shown(node.id)}, "
                f"got {type(named).__name__}"
            )
        # Several children of one compound state can be active, and so can a history state of it.
        shows_history = node.type is COMPOUND and not isinstance(named, str)
        find = node.child if shows_history else node.children.get
        children: list[tuple[StateNode, object]] = []
        for key in in_key_order(map(str, below)):
            child = find(key)
            if child is None or key not in below:
                raise InvalidSnapshotError(
                    f"value of a stored snapshot: below {shown(node.id)}, "
                    f"{unknown('state', key, node.children)}"
                )
            children.append((child, below[key]))
            yield child
        waiting += reversed(children)
