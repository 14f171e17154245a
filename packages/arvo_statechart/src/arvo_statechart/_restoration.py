"""From a stored state value back to the active states."""

from collections.abc import Iterator

from ._chart import Chart
from ._completed import entered
from ._configuration import Configuration, configuration_of
from ._errors import InvalidSnapshotError
from ._node import StateNode, StateType
from ._state_value import in_key_order
from ._suggestion import unknown


def configuration_of_value(chart: Chart, value: object) -> Configuration:
    """Return the configuration that a state value stands for.

    The order in which its states were entered is not stored. In its place comes the order of the
    value's keys; what the value leaves out is entered by default.

    Raises:
        InvalidSnapshotError: If the value does not fit the machine.
    """
    # The text tells all values apart that JSON can tell apart, their key order included.
    text = repr(value)
    found = chart.restored.get(text)
    if found is None:
        named = dict.fromkeys([chart.root, *_named(chart.root, value)])
        found = configuration_of(chart, entered(chart, named))
        chart.restored.keep(text, found)
    return found


def _named(node: StateNode, value: object) -> Iterator[StateNode]:
    """Yield what a value names below a state: its children first, then what is below each."""
    below = {value: {}} if isinstance(value, str) else value
    if not isinstance(below, dict):
        raise InvalidSnapshotError(
            f"value of a stored snapshot: expected a text or a mapping for {node.id!r}, "
            f"got {value!r}"
        )
    # Several children of one compound state can be active, and so can a history state of it.
    shows_history = node.type is StateType.COMPOUND and not isinstance(value, str)
    find = node.child if shows_history else node.children.get
    children: list[tuple[StateNode, object]] = []
    for key in in_key_order(map(str, below)):
        child = find(key)
        if child is None or key not in below:
            raise InvalidSnapshotError(
                f"value of a stored snapshot: below {node.id!r}, "
                f"{unknown('state', key, node.children)}"
            )
        children.append((child, below[key]))
    yield from (child for child, _ in children)
    for child, value_below in children:
        yield from _named(child, value_below)
