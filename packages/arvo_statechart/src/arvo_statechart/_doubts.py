"""What is allowed in a machine but probably not meant."""

from collections.abc import Iterable, Mapping
from typing import Any

from ._implementations import Implementations
from ._node import StateNode, StateType, Transition
from ._problems import Problems, listed
from ._tree import Definition

_IGNORED_IN_HISTORY = ("on", "always", "onDone", "entry", "exit", "tags", "meta")


def warn_of_doubts(
    definitions: list[Definition], implementations: Implementations, problems: Problems
) -> None:
    """Note what is probably not meant in a machine that can be built."""
    reached = _reachable(definitions[0].node)
    for definition in definitions:
        node, config, path = definition.node, definition.config, definition.path
        if node.type is not StateType.HISTORY and not node.bit & reached:
            problems.warn(path, "unreachable: no transition and no initial child leads here")
        for key, reason in _without_effect(node, config):
            problems.warn((*path, key), f"has no effect: {reason}")
        if node.type is StateType.FINAL:
            for key in ("on", "always", "onDone"):
                if key in config:
                    problems.warn((*path, key), "leads out of a final state, which is an end")
        for descriptor in node.on:
            if "*" in descriptor and descriptor not in node.wildcards:
                problems.warn(
                    (*path, "on", descriptor),
                    "'*' stands for other events only as the whole last part, as in 'order.*'",
                )
        for index, always in listed(config.get("always", ())):
            if isinstance(always, Mapping) and _never_rests(always, implementations):
                problems.warn(
                    (*path, "always", *index),
                    "never comes to rest: it assigns, has no target and no guard",
                )


def _without_effect(node: StateNode, config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if node.type is StateType.HISTORY:
        for key in _IGNORED_IN_HISTORY:
            if key in config:
                yield key, "a history state is never active itself"
        if not node.default_targets():
            yield "target", "a history state of a parallel state leads nowhere without a target"
    else:
        if "target" in config:
            yield "target", "only a history state has one"
        if "initial" in config and node.type is not StateType.COMPOUND:
            yield "initial", f"a state of type {node.type} has no initial child"
        if "output" in config and node.type is not StateType.FINAL and node.parent is not None:
            yield "output", "only final states and the root have one"


def _never_rests(always: Mapping[str, Any], implementations: Implementations) -> bool:
    if "guard" in always or always.get("target"):
        return False
    return any(implementations.assigns(action) for _, action in listed(always.get("actions", ())))


def _reachable(root: StateNode) -> int:
    """Return the states that can ever be entered, as a mask, guards left aside."""
    reached = 0
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.bit & reached:
            continue
        reached |= node.bit
        waiting += node.ancestors
        waiting += _entered_with(node)
        transitions: Iterable[Transition] = (
            *(transition for listing in node.on.values() for transition in listing),
            *node.always,
        )
        waiting += [target for transition in transitions for target in transition.targets]
    return reached


def _entered_with(node: StateNode) -> Iterable[StateNode]:
    match node.type:
        case StateType.HISTORY:
            return node.default_targets()
        case StateType.PARALLEL:
            return node.children.values()
        case _:
            return () if node.initial is None else (node.initial,)
