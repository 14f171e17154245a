"""What every diagram of a machine shows, whatever draws it."""

from collections.abc import Iterator
from dataclasses import dataclass

from ._event import done_event_type
from ._node import StateNode, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A way from one state to another."""

    source: StateNode
    target: StateNode
    label: str


def arrows(nodes: tuple[StateNode, ...]) -> Iterator[Arrow]:
    """Yield the transitions that lead somewhere, and where history states lead at first."""
    for node in nodes:
        for transition in _transitions(node):
            for target in transition.targets:
                yield Arrow(source=node, target=target, label=transition_label(transition))
        for target in node.default or ():
            yield Arrow(source=node, target=target, label="default")


def title(node: StateNode) -> str:
    """Return what to write above a state: its key, of the root its id."""
    return node.key or node.id


def lines(node: StateNode) -> list[str]:
    """Return what to write into a state: what happens in it without leaving it."""
    found: list[str] = []
    if node.entry_labels:
        found.append(f"entry / {', '.join(node.entry_labels)}")
    if node.exit_labels:
        found.append(f"exit / {', '.join(node.exit_labels)}")
    found += [transition_label(each) for each in _transitions(node) if not each.targets]
    return found


def initial_label(node: StateNode) -> str:
    """Return the label of the arrow to the initial child; empty if it does nothing."""
    return f"/ {', '.join(node.initial_labels)}" if node.initial_labels else ""


def transition_label(transition: Transition) -> str:
    """Return the label of a transition: `PAY [is_large] / charge, emit(order.paid)`."""
    done = transition.descriptor == done_event_type(transition.source.id)
    label = "done" if done else transition.descriptor
    if transition.guard is not None:
        label += f" [{transition.guard_name}]"
    if transition.action_labels:
        label += f" / {', '.join(transition.action_labels)}"
    elif not transition.targets:
        label += " is ignored"
    return f"{label} (reenter)" if transition.reenter and transition.targets else label


def holds_others(node: StateNode) -> bool:
    """Whether a state is drawn around others."""
    return bool(node.children or node.histories)


def history_mark(node: StateNode) -> str:
    """Return the sign of a history state."""
    return "H*" if node.deep else "H"


def nearest_common(one: StateNode, other: StateNode) -> StateNode:
    """Return the innermost state drawn around both; the root if there is none."""
    around = [node for node in one.ancestors if other.bit & node.descendants]
    return around[0] if around else (one, *one.ancestors)[-1]


def _transitions(node: StateNode) -> Iterator[Transition]:
    for transitions in node.on.values():
        yield from transitions
    yield from node.always
