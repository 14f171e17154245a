"""Compiled machines, and the compilation of a config."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from arvo_statechart._call import Call, Context
from arvo_statechart._config import MachineConfig
from arvo_statechart._delay import Delay
from arvo_statechart._errors import DefinitionProblem
from arvo_statechart._event import INIT
from arvo_statechart._messages import short_repr, unknown

from .checks import check_plain
from .implementations import ActionImplementation, GuardImplementation, Implementations
from .keys import OPTIONS_KEYS
from .problems import Place, Problems
from .rules import RULES, Rules, XStateVersion
from .state_compiler import StateCompiler
from .states import HISTORY, StateNode, Transition, is_covered
from .targets import check_history
from .tree import Tree
from .warnings import find_warnings


def _leaving_delays(nodes: Sequence[StateNode]) -> dict[StateNode, tuple[str, ...]]:
    """Return the events of `after` that are certain to leave their states, of states that have some."""
    waiting = [node for node in nodes if node.after]
    wild = [node for node in nodes if node.wildcards] if waiting else []
    found: dict[StateNode, tuple[str, ...]] = {}
    for node in waiting:
        # A state below is asked first, and one of another region may leave both in its own way.
        others = [each for each in wild if each is not node and each not in node.ancestors]
        wildcards = {wildcard for each in others for wildcard in each.wildcards}
        leaving = tuple(
            each for each in node.after if _leaves(node, each) and not is_covered(each, wildcards)
        )
        if leaving:
            found[node] = leaving
    return found


def _leaves(node: StateNode, event_type: str) -> bool:
    first = next(iter(node.on.get(event_type, ())), None)
    if first is None or first.guard is not None:
        return False
    outside = any(target is not node and not target.is_below(node) for target in first.targets)
    return outside or (first.reenter and bool(first.targets))


class Chart:
    """A compiled machine. It is shared between threads: its caches are the same for all of them."""

    __slots__ = (
        "_takers",
        "_takers_of_wildcards",
        "by_id",
        "context",
        "has_eventless",
        "implementations",
        "leaving_delays",
        "max_microsteps",
        "nodes",
        "root",
        "rules",
        "start",
    )

    def __init__(
        self,
        *,
        nodes: tuple[StateNode, ...],
        by_id: dict[str, StateNode],
        context: Context | Callable[[Call], Context],
        implementations: Implementations,
        rules: Rules,
        max_microsteps: float,
    ) -> None:
        # In document order, so that a state's number is its index.
        self.nodes: tuple[StateNode, ...] = nodes
        self.root: StateNode = nodes[0]
        # The transition that enters the initial states.
        self.start: Transition = Transition(self.root, INIT)
        self.start.targets = (self.root,)
        self.start.reenter = True
        self.by_id: dict[str, StateNode] = by_id
        self.context: Context | Callable[[Call], Context] = context
        self.implementations: Implementations = implementations
        self.rules: Rules = rules
        # May be infinite.
        self.max_microsteps: float = max_microsteps
        self.has_eventless: bool = any(node.always for node in nodes)
        # By state, the types of `after` events that are certain to leave it.
        self.leaving_delays: dict[StateNode, tuple[str, ...]] = _leaving_delays(nodes)
        self._takers: dict[str, list[StateNode]] | None = None
        self._takers_of_wildcards: list[StateNode] = []

    def takers(self, event_type: str) -> list[StateNode]:
        """Return the states that may have candidates for an event of a type.

        Most done events of many regions have no takers; then no state is asked.
        """
        index = self._takers
        if index is None:
            index = {}
            for node in self.nodes:
                for descriptor in node.on:
                    index.setdefault(descriptor, []).append(node)
            self._takers_of_wildcards = [node for node in self.nodes if node.wildcards]
            self._takers = index
        takers = index.get(event_type, [])
        return takers + self._takers_of_wildcards if self._takers_of_wildcards else takers


_DEFAULT_MAX_MICROSTEPS = 10_000


def compile_chart(
    config: MachineConfig,
    *,
    actions: Mapping[str, ActionImplementation],
    guards: Mapping[str, GuardImplementation],
    delays: Mapping[str, Delay],
    longest_delay: timedelta | None,
    events: Iterable[str] | None,
    xstate: XStateVersion | None,
    max_microsteps: float | None,
) -> tuple[Chart, Callable[[], tuple[DefinitionProblem, ...]]]:
    """Return the compiled machine, and a function that looks for warnings about it.

    Raises:
        MachineDefinitionError: If the definition is wrong.
    """
    problems = Problems()
    tree = Tree(config, problems)
    longest = _longest(longest_delay, problems)
    # If states are wrong, the rest would only fail for the same reasons.
    problems.raise_errors()
    implementations = Implementations(
        actions=problems.mapping(None, actions),
        guards=problems.mapping(None, guards),
        delays=problems.mapping(None, delays),
        longest_delay=longest,
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
    known_events = None if events is None else _event_types(events, problems)
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
    search = partial(find_warnings, chart.nodes, implementations, known_events, chosen=xstate)
    return chart, search


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


def _longest(given: object, problems: Problems) -> timedelta | None:
    if given is None or isinstance(given, timedelta):
        return given
    problems.error(None, f"longest_delay: expected a timedelta, got {short_repr(given)}")
    return None


def _at_least_one(place: Place, name: str, value: object, problems: Problems) -> float:
    if value == math.inf or (type(value) is int and value >= 1):
        return value
    problems.error(place, f"{name}expected a whole number of at least 1, got {short_repr(value)}")
    return math.inf


def _context(config: Mapping[str, Any], problems: Problems) -> Context | Callable[[Call], Context]:
    given: object = config.get("context", {})
    if callable(given):
        problems.attempt((None, "context"), partial(check_plain, "context"), given)
    elif not isinstance(given, dict):
        problems.error((None, "context"), f"expected a dict or a function, got {short_repr(given)}")
    context: Context | Callable[[Call], Context] = config.get("context", {})
    return context


def _check_version(config: Mapping[str, Any], problems: Problems) -> None:
    version = config.get("version", "")
    if not isinstance(version, str):
        problems.error((None, "version"), f"expected a string, got {short_repr(version)}")


def _event_types(events: object, problems: Problems) -> tuple[str, ...]:
    found = tuple(events) if isinstance(events, Iterable) and not isinstance(events, str) else None
    if found is None or not all(isinstance(event, str) for event in found):
        problems.error(
            None, f"events: expected strings, the types of events, got {short_repr(events)}"
        )
        return ()
    return found
