"""From what the config says about a state to what the interpreter needs of it."""

from collections.abc import Mapping
from typing import Any

from ._config import InitialConfig, TransitionConfig
from ._event import done_event_type
from ._functions import check_plain
from ._implementations import Implementations, name_of
from ._node import UNSET, Executable, StateNode, StateType, Transition
from ._problems import Path, Problems, listed
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
    ) -> None:
        self._by_id = by_id
        self._implementations = implementations
        self._problems = problems

    def fill(self, definition: Definition) -> None:
        """Fill one state: its transitions, actions, initial child, tags, meta and output."""
        node, config, path = definition.node, definition.config, definition.path
        if node.type is StateType.HISTORY:
            self._fill_history(node, config, path)
            return
        if node.type is StateType.COMPOUND:
            self._fill_initial(node, config, path)
        self._fill_transitions(node, config, path)
        node.entry = self._actions(config.get("entry", ()), (*path, "entry"))
        node.exit = self._actions(config.get("exit", ()), (*path, "exit"))
        node.tags = self._texts(config.get("tags", ()), (*path, "tags"))
        node.meta = config.get("meta", UNSET)
        if node.type is StateType.FINAL or node.parent is None:
            node.output = config.get("output", UNSET)
            with self._problems.noted_at((*path, "output")):
                check_plain("output", node.output)

    def _fill_history(self, node: StateNode, config: Mapping[str, Any], path: Path) -> None:
        depth = config.get("history", "shallow")
        if depth not in ("shallow", "deep", True):
            message = f"expected 'shallow', 'deep' or True, got {depth!r}"
            self._problems.error((*path, "history"), message)
        node.deep = depth == "deep"
        targets = self._targets(node, config, path)
        node.default = targets or None

    def _fill_initial(self, node: StateNode, config: Mapping[str, Any], path: Path) -> None:
        place = (*path, "initial")
        initial = config.get("initial")
        if isinstance(initial, Mapping):
            self._check_keys(initial, place, InitialConfig.__optional_keys__)
            node.initial_actions = self._actions(initial.get("actions", ()), (*place, "actions"))
            initial = initial.get("target")
        known = (*node.children, *node.histories)
        if initial is None:
            self._problems.error(place, f"missing: name the child to enter by default, of {known}")
        elif not isinstance(initial, str) or node.child(initial) is None:
            self._problems.error(place, unknown("child", initial, known))
        else:
            node.initial = node.child(initial)

    def _fill_transitions(self, node: StateNode, config: Mapping[str, Any], path: Path) -> None:
        on = self._problems.mapping((*path, "on"), config.get("on", {}))
        for descriptor, transitions in on.items():
            place = (*path, "on", descriptor)
            if not descriptor:
                self._problems.error(place, "an event type is not empty; use 'always' instead")
            node.on[descriptor] = self._transitions(node, descriptor, transitions, place)
        if "onDone" in config:
            done = done_event_type(node.id)
            node.on[done] = self._transitions(node, done, config["onDone"], (*path, "onDone"))
        wildcards = [descriptor for descriptor in node.on if _is_wildcard(descriptor)]
        node.wildcards = tuple(sorted(wildcards, key=len, reverse=True))
        always = config.get("always", ())
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
        transition.actions = self._actions(checked.get("actions", ()), (*path, "actions"))
        reenter = checked.get("reenter", False)
        if not isinstance(reenter, bool):
            self._problems.error((*path, "reenter"), f"expected True or False, got {reenter!r}")
        transition.reenter = reenter is True
        if "guard" in checked:
            transition.guard_name = name_of(checked["guard"])
            with self._problems.noted_at((*path, "guard")):
                transition.guard = self._implementations.test(checked["guard"])
        return transition

    def _targets(
        self, node: StateNode, config: Mapping[str, Any], path: Path
    ) -> tuple[StateNode, ...]:
        targets = config.get("target", "")
        if targets == "":
            return ()
        found: dict[StateNode, None] = {}
        for target in self._texts(targets, (*path, "target")):
            with self._problems.noted_at((*path, "target")):
                found[state_of_target(target, node, self._by_id)] = None
        check_targets(tuple(found), (*path, "target"), self._problems)
        return tuple(found)

    def _texts(self, value: object, path: Path) -> tuple[str, ...]:
        texts = [(index, text) for index, text in listed(value)]
        for index, text in texts:
            if not isinstance(text, str):
                self._problems.error((*path, *index), f"expected a text, got {text!r}")
        return tuple(text for _, text in texts if isinstance(text, str))

    def _actions(self, value: object, path: Path) -> tuple[Executable, ...]:
        executables: list[Executable] = []
        for index, action in listed(value):
            with self._problems.noted_at((*path, *index)):
                executables.append(self._implementations.executable(action))
        return tuple(executables)

    def _check_keys(self, config: Mapping[str, Any], path: Path, known: frozenset[str]) -> None:
        for key in config:
            if key not in known:
                self._problems.error((*path, key), unknown("key", key, known))


def _is_wildcard(descriptor: str) -> bool:
    *before, last = descriptor.split(".")
    return last == "*" and "*" not in before
