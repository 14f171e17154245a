"""The elements of a machine's diagram, independent of the format."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from arvo_statechart._actions import action_label
from arvo_statechart._definition.problems import listed
from arvo_statechart._definition.states import StateNode, Transition
from arvo_statechart._event import done_event_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """An arrow from one state to another."""

    source: StateNode
    target: StateNode
    label: tuple[str, ...]
    """The parts of its label, which may be written below each other."""


def arrows(nodes: tuple[StateNode, ...]) -> Iterator[Arrow]:
    """Yield arrows for transitions with targets and for the defaults of history states."""
    for node in nodes:
        for transition in _transitions(node):
            for target in transition.targets:
                yield Arrow(source=node, target=target, label=_label(transition))
        for target in node.default or ():
            yield Arrow(source=node, target=target, label=("default",))


Lines: TypeAlias = Iterator["str | Lines"]
"""Lines, and iterators of lines in their places: states may be nested deeper than function calls."""

_MOST_INDENT_CHARACTERS = 200


def flattened(lines: Lines) -> Iterator[str]:
    """Yield all lines in order."""
    waiting = [lines]
    while waiting:
        for line in waiting[-1]:
            if not isinstance(line, str):
                waiting.append(line)
                break
            yield line
        else:
            waiting.pop()


def deeper(indent: str) -> str:
    """Return the next deeper indent; from some depth on it stays the same."""
    return indent if len(indent) >= _MOST_INDENT_CHARACTERS else indent + "    "


def title(node: StateNode) -> str:
    """Return the title of a state: its key, or the id for the root."""
    return node.key or node.id


def lines(node: StateNode) -> list[str]:
    """Return the lines inside a state: its actions and its transitions without a target."""
    found = [
        f"{key} / {', '.join(actions)}"
        for key in ("entry", "exit")
        if (actions := _action_labels(node.config.get(key, ())))
    ]
    found += [" ".join(_label(each)) for each in _transitions(node) if not each.targets]
    return found


def initial_label(node: StateNode) -> str:
    """Return the label of the arrow to the initial child; empty if it has no actions."""
    if not node.initial_actions:
        return ""
    return f"/ {', '.join(_action_labels(node.config['initial']['actions']))}"


def holds_others(node: StateNode) -> bool:
    """Return whether a state is drawn around others."""
    return bool(node.children or node.histories)


def history_mark(node: StateNode) -> str:
    """Return the symbol of a history state."""
    return "H*" if node.deep else "H"


def nearest_common(one: StateNode, other: StateNode) -> StateNode:
    """Return the innermost state drawn around both; the root if there is none."""
    around = [node for node in one.ancestors if other.is_below(node)]
    return around[0] if around else (one, *one.ancestors)[-1]


def _transitions(node: StateNode) -> Iterator[Transition]:
    for transitions in node.on.values():
        yield from transitions
    yield from node.always


def _label(transition: Transition) -> tuple[str, ...]:
    """Return the parts of a label: `PAY`, `[is_large]`, `/ charge, emit(order.paid)`."""
    parts = [_event_label(transition)]
    if transition.guard is not None:
        parts.append(f"[{transition.guard_name}]")
    if transition.actions:
        parts.append(f"/ {', '.join(_action_labels(transition.config['actions']))}")
    elif not transition.targets:
        parts.append("is ignored")
    if transition.reenter and transition.targets:
        parts.append("(reenter)")
    return tuple(parts)


def _event_label(transition: Transition) -> str:
    node, event_type = transition.source, transition.descriptor
    if event_type == done_event_type(node.id):
        return "done"
    return node.after[event_type].label if event_type in node.after else event_type


def _action_labels(actions: object) -> tuple[str, ...]:
    """Return the names of one action, or of a list of them."""
    return tuple(action_label(action) for _, action in listed(None, actions))
