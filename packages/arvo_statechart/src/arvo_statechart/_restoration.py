"""From a stored state value back to the active states."""

from collections.abc import Iterator

from ._chart import Chart
from ._completed import completed
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
        found = configuration_of(chart, completed(chart, named))
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
    if node.type is StateType.COMPOUND and len(below) > 1:
        raise InvalidSnapshotError(
            f"value of a stored snapshot: {node.id!r} has one active child, got {value!r}"
        )
    keys = in_key_order(map(str, below))
    for key in keys:
        if key not in node.children or key not in below:
            raise InvalidSnapshotError(
                f"value of a stored snapshot: below {node.id!r}, "
                f"{unknown('state', key, node.children)}"
            )
        yield node.children[key]
    for key in keys:
        yield from _named(node.children[key], below[key])
