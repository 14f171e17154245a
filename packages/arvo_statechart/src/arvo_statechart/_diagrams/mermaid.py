"""Machines as text for Mermaid."""

from collections.abc import Iterator

from arvo_statechart._definition.states import StateNode, StateType
from arvo_statechart._machine import Machine

from .elements import (
    Arrow,
    Lines,
    arrows,
    deeper,
    flattened,
    history_mark,
    holds_others,
    initial_label,
    lines,
    nearest_common,
    title,
)


def to_mermaid(machine: Machine) -> str:
    """Return a machine as a state diagram for Mermaid.

    Nested states, parallel regions, history states, initial arrows, guards and actions are shown.
    Actions and transitions that do not leave a state are listed below its name. Mermaid has trouble
    with arrows across the border of a parallel region: prefer `to_dot` for such machines.

    Example:
        >>> door = Machine({"id": "door", "initial": "shut", "states": {
        ...     "shut": {"on": {"OPEN": {"target": "open", "guard": lambda call: True}}},
        ...     "open": {"entry": "ring"},
        ... }}, actions={"ring": print})
        >>> print(to_mermaid(door))
        stateDiagram-v2
            state "door" as s0 {
                [*] --> s1
                state "shut" as s1
                state "open<br/>entry / ring" as s2
                s1 --> s2 : OPEN [#60;lambda#62;]
            }
    """
    nodes = machine._chart.nodes
    by_scope: dict[StateNode, list[Arrow]] = {}
    for arrow in arrows(nodes):
        by_scope.setdefault(nearest_common(arrow.source, arrow.target), []).append(arrow)
    return "\n".join(["stateDiagram-v2", *flattened(_state(nodes[0], by_scope, "    "))])


def _state(node: StateNode, arrows_in: dict[StateNode, list[Arrow]], indent: str) -> Lines:
    yield f'{indent}state "{_label(node)}" as {_name(node)}{" {" if holds_others(node) else ""}'
    if holds_others(node):
        yield _inside(node, arrows_in, deeper(indent))
        yield f"{indent}}}"
    yield from _outside(node, arrows_in, indent)


def _inside(node: StateNode, arrows_in: dict[StateNode, list[Arrow]], indent: str) -> Lines:
    if node.initial is not None:
        yield _arrow("[*]", _name(node.initial), initial_label(node), indent)
    for number, child in enumerate(node.children.values()):
        if number and node.type is StateType.PARALLEL:
            yield f"{indent}--"
        yield _state(child, arrows_in, indent)
    for history in node.histories.values():
        yield f'{indent}state "{history_mark(history)}" as {_name(history)}'
    for arrow in arrows_in.get(node, ()):
        yield _arrow(_name(arrow.source), _name(arrow.target), " ".join(arrow.label), indent)


def _outside(
    node: StateNode, arrows_in: dict[StateNode, list[Arrow]], indent: str
) -> Iterator[str]:
    if node.type is StateType.FINAL:
        yield f"{indent}{_name(node)} --> [*]"
    if not holds_others(node) and node.parent is None:
        for arrow in arrows_in.get(node, ()):
            yield _arrow(_name(arrow.source), _name(arrow.target), " ".join(arrow.label), indent)


def _arrow(source: str, target: str, label: str, indent: str) -> str:
    return f"{indent}{source} --> {target}{f' : {_escaped(label)}' if label else ''}"


def _name(node: StateNode) -> str:
    return f"s{node.number}"


def _label(node: StateNode) -> str:
    return "<br/>".join(map(_escaped, (title(node), *lines(node))))


def _escaped(text: str) -> str:
    """Replace the characters of Mermaid's syntax by its character references."""
    return " ".join(text.translate(_REFERENCES).split())


_REFERENCES = {ord(character): f"#{ord(character)};" for character in '#;:"<>{}%'}
