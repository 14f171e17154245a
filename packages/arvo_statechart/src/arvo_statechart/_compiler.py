"""From the config to the compiled machine."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ._call import Call, Context
from ._chart import Chart
from ._config import MachineConfig
from ._doubts import warn_of_doubts
from ._functions import check_plain
from ._implementations import ActionImplementation, GuardImplementation, Implementations
from ._node import StateType
from ._problems import Problems
from ._state_compiler import StateCompiler
from ._target_checks import check_history
from ._tree import Tree


def compile_chart(
    config: MachineConfig,
    *,
    actions: Mapping[str, ActionImplementation],
    guards: Mapping[str, GuardImplementation],
    max_microsteps: int,
    problems: Problems,
) -> Chart:
    """Return the compiled machine; what is doubtful about it is noted in `problems`.

    Raises:
        MachineDefinitionError: If the definition is wrong.
    """
    tree = Tree(config, problems)
    # Without all states in their places the rest would only fail for the same reasons.
    problems.raise_errors(tree.machine_id)
    implementations = Implementations(actions=actions, guards=guards, by_id=tree.by_id)
    compiler = StateCompiler(by_id=tree.by_id, implementations=implementations, problems=problems)
    for definition in tree.definitions:
        compiler.fill(definition)
    for definition in tree.definitions:
        if definition.node.type is StateType.HISTORY:
            check_history(definition.node, definition.path, problems)
    context = _context(config, problems)
    if max_microsteps < 1:
        problems.error((), f"max_microsteps: expected at least 1, got {max_microsteps!r}")
    problems.raise_errors(tree.machine_id)
    warn_of_doubts(tree.definitions, implementations, problems)
    return Chart(
        nodes=tuple(definition.node for definition in tree.definitions),
        by_id=tree.by_id,
        context=context,
        implementations=implementations,
        max_microsteps=max_microsteps,
    )


def _context(config: Mapping[str, Any], problems: Problems) -> Context | Callable[[Call], Context]:
    given: object = config.get("context", {})
    if not callable(given) and not isinstance(given, dict):
        problems.error(("context",), f"expected a dict or a function, got {given!r}")
    problems.attempt(("context",), partial(check_plain, "context"), given)
    context: Context | Callable[[Call], Context] = config.get("context", {})
    return context
