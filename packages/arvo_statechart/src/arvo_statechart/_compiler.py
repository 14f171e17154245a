"""From the config to the compiled machine."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ._call import Call, Context
from ._chart import Chart
from ._config import MachineConfig, OptionsConfig
from ._differences import warn_of_differences
from ._doubts import warn_of_doubts
from ._functions import check_plain
from ._implementations import ActionImplementation, GuardImplementation, Implementations
from ._node import StateType
from ._problems import Path, Problems
from ._rules import RULES, Rules, XStateVersion
from ._state_compiler import StateCompiler
from ._suggestion import unknown
from ._target_checks import check_history
from ._tree import Tree

_DEFAULT_MAX_MICROSTEPS = 10_000


def compile_chart(
    config: MachineConfig,
    *,
    actions: Mapping[str, ActionImplementation],
    guards: Mapping[str, GuardImplementation],
    xstate: XStateVersion | None,
    max_microsteps: float | None,
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
    rules = _rules(xstate, problems)
    compiler = StateCompiler(
        by_id=tree.by_id, implementations=implementations, problems=problems, rules=rules
    )
    for definition in tree.definitions:
        compiler.fill(definition)
    for definition in tree.definitions:
        if definition.node.type is StateType.HISTORY:
            check_history(definition.node, definition.path, problems)
    context = _context(config, problems)
    limit = _max_microsteps(max_microsteps, config, problems)
    problems.raise_errors(tree.machine_id)
    warn_of_doubts(tree.definitions, implementations, problems)
    if xstate is None:
        warn_of_differences(tree.definitions, problems)
    return Chart(
        nodes=tuple(definition.node for definition in tree.definitions),
        by_id=tree.by_id,
        context=context,
        implementations=implementations,
        rules=rules,
        max_microsteps=limit,
    )


def _rules(xstate: object, problems: Problems) -> Rules:
    for version, rules in RULES.items():
        if version == xstate:
            return rules
    if xstate is not None:
        problems.error((), f"xstate: {unknown('version', xstate, RULES)}")
    return RULES["5.33"]


def _max_microsteps(given: object, config: Mapping[str, Any], problems: Problems) -> float:
    options = problems.mapping(("options",), config.get("options", {}))
    for key in options:
        if key not in OptionsConfig.__optional_keys__:
            place = ("options", key)
            problems.error(place, unknown("key", key, OptionsConfig.__optional_keys__))
    if given is not None:
        return _at_least_one((), "max_microsteps: ", given, problems)
    configured = options.get("maxIterations", _DEFAULT_MAX_MICROSTEPS)
    return _at_least_one(("options", "maxIterations"), "", configured, problems)


def _at_least_one(path: Path, name: str, value: object, problems: Problems) -> float:
    if value == math.inf or (type(value) is int and value >= 1):
        return value
    problems.error(path, f"{name}expected a whole number of at least 1, got {value!r}")
    return math.inf


def _context(config: Mapping[str, Any], problems: Problems) -> Context | Callable[[Call], Context]:
    given: object = config.get("context", {})
    if not callable(given) and not isinstance(given, dict):
        problems.error(("context",), f"expected a dict or a function, got {given!r}")
    problems.attempt(("context",), partial(check_plain, "context"), given)
    context: Context | Callable[[Call], Context] = config.get("context", {})
    return context
