"""Machines as text for Graphviz."""

from collections.abc import Iterator

from ._diagram import Arrow, arrows, history_mark, holds_others, initial_label, lines, title
from ._machine import Machine
from ._node import StateNode, StateType

_SETTINGS = (
    "compound=true",
    'graph [fontname="Helvetica" fontsize=11 style=rounded]',
    'node [fontname="Helvetica" fontsize=11 shape=box style=rounded]',
    'edge [fontname="Helvetica" fontsize=9]',
)


def to_dot(machine: Machine) -> str:
    """Return a machine as a graph for Graphviz.

    States around others are clusters, parallel regions have dashed borders, final states double
    ones. What happens inside a state without leaving it stands below its name.

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
            s1 -> s2 [label="OPEN"]
        }
    """
    nodes = machine.chart.nodes
    settings = [f"    {setting}" for setting in _SETTINGS]
    ways = [f"    {_way(arrow)}" for arrow in arrows(nodes)]
    heading = f"digraph {_quoted(machine.id)} {{"
    return "\n".join([heading, *settings, *_state(nodes[0], "    "), *ways, "}"])


def _state(node: StateNode, indent: str) -> Iterator[str]:
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
        yield f"{indent}    {_edge(node, node.initial, initial_label(node), clip_tail=False)}"
    for child in (*node.children.values(), *node.histories.values()):
        yield from _state(child, indent + "    ")
    yield f"{indent}}}"


def _leaf(node: StateNode) -> str:
    match node.type:
        case StateType.HISTORY:
            return f"label={_quoted(history_mark(node))} shape=circle"
        case StateType.FINAL:
            return f"label={_label(node)} peripheries=2"
        case _:
            return f"label={_label(node)}"


def _way(arrow: Arrow) -> str:
    return _edge(arrow.source, arrow.target, arrow.label, clip_tail=True)


def _edge(source: StateNode, target: StateNode, label: str, *, clip_tail: bool) -> str:
    attributes = [f"label={_quoted(label)}"] if label else []
    # An edge from a state to one inside of it, or back, has no border to end at.
    if clip_tail and holds_others(source) and not _inside(target, source):
        attributes.append(f"ltail=cluster_{_name(source)}")
    if holds_others(target) and not _inside(source, target):
        attributes.append(f"lhead=cluster_{_name(target)}")
    written = f" [{' '.join(attributes)}]" if attributes else ""
    return f"{_name(source)} -> {_name(target)}{written}"


def _inside(node: StateNode, other: StateNode) -> bool:
    return node is other or bool(node.bit & other.descendants)


def _name(node: StateNode) -> str:
    return f"s{node.number}"


def _label(node: StateNode) -> str:
    return _quoted("\n".join((title(node), *lines(node))))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
