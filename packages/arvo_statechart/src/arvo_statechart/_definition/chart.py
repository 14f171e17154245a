"""From the config to the compiled machine."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from arvo_statechart._call import Call, Context
from arvo_statechart._config import MachineConfig
from arvo_statechart._errors import DefinitionProblem
from arvo_statechart._messages import shown
from arvo_statechart._suggestion import unknown

from .checks import check_plain
from .compiled import Chart
from .implementations import ActionImplementation, GuardImplementation, Implementations
from .keys import OPTIONS_KEYS
from .problems import Place, Problems
from .rules import RULES, Rules, XStateVersion
from .state_compiler import StateCompiler
from .states import HISTORY
from .target_checks import check_history
from .tree import Tree
from .warnings import find_doubts

_DEFAULT_MAX_MICROSTEPS = 10_000


def compile_chart(
    config: MachineConfig,
    *,
    actions: Mapping[str, ActionImplementation],
    guards: Mapping[str, GuardImplementation],
    events: Iterable[str] | None,
    xstate: XStateVersion | None,
    max_microsteps: float | None,
) -> tuple[Chart, Callable[[], tuple[DefinitionProblem, ...]]]:
    """Return the compiled machine, and what looks for what is doubtful about it.

    Raises:
        MachineDefinitionError: If the definition is wrong.
    """
    problems = Problems()
    tree = Tree(config, problems)
    # Without all states in their places the rest would only fail for the same reasons.
    problems.raise_errors()
    implementations = Implementations(
        actions=problems.mapping(None, actions),
        guards=problems.mapping(None, guards),
        by_id=tree.by_id,
    )
    rules = _rules(xstate, problems)
    compiler = StateCompiler(
        by_id=tree.by_id, implementations=implementations, problems=problems, rules=rules
    )
    for node in tree.nodes:
        compiler.fill(node)
    for node in tree.nodes:
        if node.type is HISTORY:
            check_history(node, problems)
    context = _context(config, problems)
    _check_version(config, problems)
    limit = _max_microsteps(max_microsteps, config, problems)
    known_events = None if events is None else _texts(events, problems)
    problems.raise_errors()
    implementations.check_all(problems)
    problems.raise_errors()
    chart = Chart(
        nodes=tuple(tree.nodes),
        by_id=tree.by_id,
        context=context,
        implementations=implementations,
        rules=rules,
        max_microsteps=limit,
    )
    doubts = partial(find_doubts, chart.nodes, implementations, known_events, chosen=xstate)
    return chart, doubts


def _rules(xstate: object, problems: Problems) -> Rules:
    for version, rules in RULES.items():
        if version == xstate:
            return rules
    if xstate is not None:
        problems.error(None, f"xstate: {unknown('version', xstate, RULES)}")
    return RULES["5.33"]


def _max_microsteps(given: object, config: Mapping[str, Any], problems: Problems) -> float:
    configured: object = _DEFAULT_MAX_MICROSTEPS
    place: Place = (None, "options")
    if "options" in config:
        options = problems.mapping(place, config["options"])
        if not options.keys() <= OPTIONS_KEYS.silent:
            OPTIONS_KEYS.check(options, place, problems)
        configured = options.get("maxIterations", configured)
    if given is not None:
        return _at_least_one(None, "max_microsteps: ", given, problems)
    return _at_least_one((place, "maxIterations"), "", configured, problems)


def _at_least_one(place: Place, name: str, value: object, problems: Problems) -> float:
    if value == math.inf or (type(value) is int and value >= 1):
        return value
    problems.error(place, f"{name}expected a whole number of at least 1, got {shown(value)}")
    return math.inf


def _context(config: Mapping[str, Any], problems: Problems) -> Context | Callable[[Call], Context]:
    given: object = config.get("context", {})
    if callable(given):
        problems.attempt((None, "context"), partial(check_plain, "context"), given)
    elif not isinstance(given, dict):
        problems.error((None, "context"), f"expected a dict or a function, got {shown(given)}")
    context: Context | Callable[[Call], Context] = config.get("context", {})
    return context


def _check_version(config: Mapping[str, Any], problems: Problems) -> None:
    version = config.get("version", "")
    if not isinstance(version, str):
        problems.error((None, "version"), f"expected a text, got {shown(version)}")


def _texts(events: object, problems: Problems) -> tuple[str, ...]:
    found = tuple(events) if isinstance(events, Iterable) and not isinstance(events, str) else None
    if found is None or not all(isinstance(event, str) for event in found):
        problems.error(None, f"events: expected the types of events, got {shown(events)}")
        return ()
    return found
