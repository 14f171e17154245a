"""Where a machine would behave differently if it followed XState 5.24."""

from collections.abc import Iterable

from ._event import done_event_type
from ._node import StateType
from ._problems import Path, Problems
from ._tree import Definition

_CHOOSE = "choose with xstate='5.33' or xstate='5.24'"


def warn_of_differences(definitions: Iterable[Definition], problems: Problems) -> None:
    """Note what leads somewhere else in XState 5.24, for machines that have not chosen."""
    for definition in definitions:
        if definition.node.type is StateType.HISTORY:
            _warn_of_history(definition, problems)
        elif definition.node.wildcards:
            _warn_of_wildcards(definition, problems)


def _warn_of_history(definition: Definition, problems: Problems) -> None:
    above = definition.node.ancestors[0]
    if above.type is StateType.PARALLEL and not definition.config.get("target"):
        problems.warn(
            (*definition.path, "target"),
            f"without one it leads to the whole of {above.id!r} while nothing is recorded; in "
            f"XState before 5.32.4 it leads nowhere: {_CHOOSE}",
        )


def _warn_of_wildcards(definition: Definition, problems: Problems) -> None:
    node = definition.node
    for event_type, candidates in node.on.items():
        if event_type in node.wildcards or any(each.guard is None for each in candidates):
            continue
        beside = [key for key in node.wildcards_beside(event_type) if node.on[key]]
        if beside:
            problems.warn(
                _place(definition, event_type),
                f"if no guard passes, {' and '.join(map(repr, beside))} beside it is tried; in "
                f"XState before 5.32.2 it is not: {_CHOOSE}",
            )


def _place(definition: Definition, event_type: str) -> Path:
    if "onDone" in definition.config and event_type == done_event_type(definition.node.id):
        return (*definition.path, "onDone")
    return (*definition.path, "on", event_type)
