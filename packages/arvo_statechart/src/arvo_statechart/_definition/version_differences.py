"""Finds where a machine behaves differently in an earlier version of XState."""

from collections.abc import Iterable, Iterator

from arvo_statechart._event import done_event_type
from arvo_statechart._messages import short_repr

from .problems import Place
from .states import HISTORY, PARALLEL, StateNode, is_covered

_CHOOSE = "choose with xstate='5.33' or xstate='5.24'"
_NAMED_WILDCARDS = 5


def version_differences(nodes: Iterable[StateNode]) -> Iterator[tuple[Place, str]]:
    """Yield what behaves differently in XState 5.24, for machines without a chosen version."""
    for node in nodes:
        yield from _of_history(node) if node.type is HISTORY else _of_wildcards(node)


def _of_history(node: StateNode) -> Iterator[tuple[Place, str]]:
    above = node.ancestors[0]
    if above.type is PARALLEL and not node.config.get("target"):
        place: Place = (node.place, "target")
        today = (
            f"without one it leads to the whole of {short_repr(above.id)} while nothing is recorded"
        )
        yield place, f"{today}; in XState before 5.32.4 it leads nowhere: {_CHOOSE}"


def _of_wildcards(node: StateNode) -> Iterator[tuple[Place, str]]:
    if not node.wildcards:
        return
    wildcards = set(node.wildcards)
    for event_type, candidates in node.on.items():
        if event_type in wildcards or any(each.guard is None for each in candidates):
            continue
        if not is_covered(event_type, wildcards):
            continue
        beside = [key for key in node.wildcards_beside(event_type) if node.on[key]]
        if beside:
            tried = " and ".join(map(short_repr, beside[:_NAMED_WILDCARDS]))
            today = f"if no guard passes, {tried} beside it is tried"
            yield (
                _place(node, event_type),
                f"{today}; in XState before 5.32.2 it is not: {_CHOOSE}",
            )


def _place(node: StateNode, event_type: str) -> Place:
    if "onDone" in node.config and event_type == done_event_type(node.id):
        return (node.place, "onDone")
    if event_type in node.after and event_type not in node.config.get("on", {}):
        return node.after[event_type].place
    return ((node.place, "on"), event_type)
