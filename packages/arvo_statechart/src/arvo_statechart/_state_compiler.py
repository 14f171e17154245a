"""From what the config says about a state to what the interpreter needs of it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ._config import InitialConfig, TransitionConfig
from ._event import done_event_type
from ._functions import check_plain
from ._implementations import Implementations
from ._labels import action_label, guard_label
from ._node import UNSET, Executable, StateNode, StateType, Transition
from ._problems import Path, Problems, listed
from ._rules import Rules
from ._suggestion import unknown
from ._target import state_of_target
from ._target_checks import check_targets
from ._tree import Definition


class StateCompiler:
    """Fills the states of a tree. What is wrong with them is noted in `problems`."""

    def __init__(
        self,
        *,
        by_id: Mapping[str, StateNode],
        implementations: Implementations,
        problems: Problems,
        rules: Rules,
    ) -> None:
        self._by_id = by_id
        self._implementations = implementations
        self._problems = problems
        self._rules = rules

    def fill(self, definition: Definition) -> None:
        """Fill one state: its transitions, actions, initial child, tags, meta and output."""
        node, config, path = definition.node, definition.config, definition.path
        if node.type is StateType.HISTORY:
            self._fill_history(node, config, path)
            return
        if node.type is StateType.COMPOUND:
            self._fill_initial(node, config, path)
        self._fill_transitions(node, config, path)
        node.entry = self._actions(config, "entry", path)
        node.exit = self._actions(config, "exit", path)
        node.entry_labels = _labels(config, "entry")
        node.exit_labels = _labels(config, "exit")
        node.tags = self._texts(config, "tags", path)
        node.meta = config.get("meta", UNSET)
        if node.type is StateType.FINAL or node.parent is None:
            node.output = config.get("output", UNSET)
            self._problems.attempt((*path, "output"), partial(check_plain, "output"), node.output)

    def _fill_history(self, node: StateNode, config: Mapping[str, Any], path: Path) -> None:
        depth = config.get("history", "shallow")
        if depth not in ("shallow", "deep", True):
            message = f"expected 'shallow', 'deep' or True, got {depth!r}"
            self._problems.error((*path, "history"), message)
        node.deep = depth == "deep"
        targets = self._targets(node, config, path)
        node.default = targets or None
        node.defaults_to_parallel = self._rules.history_defaults_to_parallel

    def _fill_initial(self, node: StateNode, config: Mapping[str, Any], path: Path) -> None:
        place = (*path, "initial")
        initial = config.get("initial")
        if isinstance(initial, Mapping):
            self._check_keys(initial, place, InitialConfig.__optional_keys__)
            node.initial_actions = self._actions(initial, "actions", place)
            node.initial_labels = _labels(initial, "actions")
            initial = initial.get("target")
        known = (*node.children, *node.histories)
        if initial is None:
            names = ", ".join(map(repr, known)) or "none"
            self._problems.error(place, f"missing: name the child to enter by default, of {names}")
        elif not isinstance(initial, str) or node.child(initial) is None:
            self._problems.error(place, unknown("child", initial, known))
        else:
            node.initial = node.child(initial)

    def _fill_transitions(self, node: StateNode, config: Mapping[str, Any], path: Path) -> None:
        on = self._problems.mapping((*path, "on"), config["on"]) if "on" in config else {}
        for descriptor, transitions in on.items():
            place = (*path, "on", descriptor)
            if not descriptor:
                self._problems.error(place, "an event type is not empty; use 'always' instead")
            node.on[descriptor] = self._transitions(node, descriptor, transitions, place)
        if "onDone" in config:
            done = done_event_type(node.id)
            node.on[done] = self._transitions(node, done, config["onDone"], (*path, "onDone"))
        wildcards = [key for key in node.on if key.endswith("*") and _is_wildcard(key)]
        node.wildcards = tuple(sorted(wildcards, key=len, reverse=True))
        if "always" in config:
            always = config["always"]
            node.always = self._transitions(node, "always", always, (*path, "always"))

    def _transitions(
        self, node: StateNode, descriptor: str, configs: object, path: Path
    ) -> tuple[Transition, ...]:
        return tuple(
            self._transition(node, descriptor, config, (*path, *index))
            for index, config in listed(configs)
        )

    def _transition(
        self, node: StateNode, descriptor: str, config: object, path: Path
    ) -> Transition:
        transition = Transition(node, descriptor)
        if isinstance(config, str):
            config = {"target": config}
        checked = self._problems.mapping(path, config)
        self._check_keys(checked, path, TransitionConfig.__optional_keys__)
        transition.targets = self._targets(node, checked, path)
        transition.actions = self._actions(checked, "actions", path)
        transition.action_labels = _labels(checked, "actions")
        reenter = checked.get("reenter", False)
        if not isinstance(reenter, bool):
            self._problems.error((*path, "reenter"), f"expected True or False, got {reenter!r}")
        transition.reenter = reenter is True
        if "guard" in checked:
            transition.guard_name = guard_label(checked["guard"])
            test = self._implementations.test
            transition.guard = self._problems.attempt((*path, "guard"), test, checked["guard"])
        return transition

    def _targets(
        self, node: StateNode, config: Mapping[str, Any], path: Path
    ) -> tuple[StateNode, ...]:
        if config.get("target", "") == "":
            return ()
        place = (*path, "target")
        find = partial(state_of_target, source=node, by_id=self._by_id)
        found = [
            self._problems.attempt(place, find, target)
            for target in self._texts(config, "target", path)
        ]
        targets = tuple(dict.fromkeys(target for target in found if target is not None))
        if len(targets) > 1:
            check_targets(targets, place, self._problems)
        return targets

    def _texts(self, config: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
        if key not in config:
            return ()
        texts: list[str] = []
        for index, text in listed(config[key]):
            if isinstance(text, str):
                texts.append(text)
            else:
                self._problems.error((*path, key, *index), f"expected a text, got {text!r}")
        return tuple(texts)

    def _actions(self, config: Mapping[str, Any], key: str, path: Path) -> tuple[Executable, ...]:
        if key not in config:
            return ()
        make = self._implementations.executable
        executables = [
            self._problems.attempt((*path, key, *index), make, action)
            for index, action in listed(config[key])
        ]
        return tuple(executable for executable in executables if executable is not None)

    def _check_keys(self, config: Mapping[str, Any], path: Path, known: frozenset[str]) -> None:
        for key in config:
            if key not in known:
                self._problems.error((*path, key), unknown("key", key, known))


def _labels(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(action_label(action) for _, action in listed(config[key])) if key in config else ()


def _is_wildcard(descriptor: str) -> bool:
    *before, last = descriptor.split(".")
    return last == "*" and "*" not in before
