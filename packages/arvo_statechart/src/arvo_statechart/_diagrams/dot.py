"""Machines as text for Graphviz."""

from collections.abc import Iterable, Iterator

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
    title,
)

_SETTINGS = (
    "compound=true",
    "ranksep=0.4",
    'graph [fontname="Helvetica" fontsize=11 style=rounded]',
    'node [fontname="Helvetica" fontsize=11 shape=box style=rounded]',
    'edge [fontname="Helvetica" fontsize=9]',
)


def to_dot(machine: Machine) -> str:
    """Return a machine as a graph for Graphviz.

    States with children are clusters, parallel regions have dashed borders, final states double
    ones. Actions and transitions that do not leave a state are listed below its name.

    Example:
        >>> door = Machine({"id": "door", "initial": "shut", "states": {
        ...     "shut": {"on": {"OPEN": "open"}}, "open": {"type": "final"},
        ... }})
        >>> print(to_dot(door))
        digraph "door" {
            compound=true
            ...
            subgraph cluster_s0 {
                label="door"
                s0 [shape=point]
                s0 -> s1
                s1 [label="shut"]
                s2 [label="open" peripheries=2]
            }
            s1 -> s2 [label=" OPEN "]
        }
    """
    nodes = machine._chart.nodes
    settings = [f"    {setting}" for setting in _SETTINGS]
    drawn = list(arrows(nodes))
    left = frozenset(arrow.source for arrow in drawn if _leaves(arrow))
    heading = f"digraph {_quoted(machine.id)} {{"
    written = [f"    {_arrow(arrow)}" for arrow in drawn]
    return "\n".join(
        [heading, *settings, *flattened(_state(nodes[0], left, "    ")), *written, "}"]
    )


def _state(node: StateNode, left: frozenset[StateNode], indent: str) -> Lines:
    if not holds_others(node):
        yield f"{indent}{_name(node)} [{_leaf(node)}]"
        return
    yield f"{indent}subgraph cluster_{_name(node)} {{"
    yield f"{indent}    label={_label(node)}"
    if node.parent is not None and node.parent.type is StateType.PARALLEL:
        yield f'{indent}    style="rounded,dashed"'
    # Graphviz draws edges between nodes only: those of a cluster begin and end at this one.
    invisible = "" if node.initial is not None else " style=invis"
    yield f"{indent}    {_name(node)} [shape=point{invisible}]"
    if node.initial is not None:
        yield f"{indent}    {_edge(node, node.initial, initial_label(node))}"
    elif node.children:
        yield f"{indent}    {_name(node)} -> {_set(node.children.values())} [style=invis]"
    for child in (*node.children.values(), *node.histories.values()):
        yield _state(child, left, deeper(indent))
    if node in left:
        yield from (f"{indent}    {line}" for line in _bottom(node))
    yield f"{indent}}}"


def _bottom(node: StateNode) -> Iterator[str]:
    """Yield an invisible node below all others of a cluster, where the edges that leave it begin."""
    yield f"{_name(node)}_end [shape=point style=invis]"
    yield f"{_set(_atoms(node))} -> {_name(node)}_end [style=invis weight=0]"


def _set(nodes: Iterable[StateNode]) -> str:
    return f"{{{' '.join(map(_name, nodes))}}}"


def _atoms(node: StateNode) -> Iterator[StateNode]:
    waiting = list(reversed(node.children.values()))
    while waiting:
        below = waiting.pop()
        if holds_others(below):
            waiting += reversed(below.children.values())
        else:
            yield below


def _leaf(node: StateNode) -> str:
    match node.type:
        case StateType.HISTORY:
            return f"label={_quoted(history_mark(node))} shape=circle"
        case StateType.FINAL:
            return f"label={_label(node)} peripheries=2"
        case _:
            return f"label={_label(node)}"


def _arrow(arrow: Arrow) -> str:
    label = "\n".join(f" {part} " for part in arrow.label)  # keeps its distance from the line
    if _leaves(arrow):
        name = _name(arrow.source)
        return _edge(arrow.source, arrow.target, label, tail=f"{name}_end", clip=f"cluster_{name}")
    return _edge(arrow.source, arrow.target, label)


def _leaves(arrow: Arrow) -> bool:
    """Return whether an arrow begins at its source's border; one to a state inside does not."""
    return holds_others(arrow.source) and not _inside(arrow.target, arrow.source)


def _edge(
    source: StateNode, target: StateNode, label: str, *, tail: str = "", clip: str = ""
) -> str:
    attributes = [f"label={_quoted(label)}"] if label else []
    if clip:
        attributes.append(f"ltail={clip}")
    if holds_others(target) and not _inside(source, target):
        attributes.append(f"lhead=cluster_{_name(target)}")
    written = f" [{' '.join(attributes)}]" if attributes else ""
    return f"{tail or _name(source)} -> {_name(target)}{written}"


def _inside(node: StateNode, other: StateNode) -> bool:
    return node is other or node.is_below(other)


def _name(node: StateNode) -> str:
    return f"s{node.number}"


def _label(node: StateNode) -> str:
    return _quoted("\n".join((title(node), *lines(node))))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
