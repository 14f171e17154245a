"""Compiles the config of a state to what the interpreter needs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from arvo_statechart._call import NO_PARAMS
from arvo_statechart._event import done_event_type
from arvo_statechart._messages import short_repr, unknown

from .after import After, keys_of_after
from .checks import check_plain
from .executables import Executable, Wait, canceller, scheduler
from .implementations import Implementations
from .keys import INITIAL_KEYS, TRANSITION_KEYS, Keys
from .problems import Place, Problems, listed
from .rules import Rules
from .states import COMPOUND, HISTORY, StateNode, Transition
from .targets import check_targets, state_of_target


class StateCompiler:
    """Fills the states of a tree from their configs, and notes problems."""

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

    def fill(self, node: StateNode) -> None:
        """Fill one state: its transitions, actions, initial child, tags, meta and output."""
        config, place = node.config, node.place
        if node.type is HISTORY:
            self._fill_history(node, config, place)
            return
        if node.type is COMPOUND:
            self._fill_initial(node, config, place)
        self._fill_transitions(node, config, place)
        if "entry" in config:
            node.entry = self._actions(config["entry"], (place, "entry"))
        if "exit" in config:
            node.exit = self._actions(config["exit"], (place, "exit"))
        if "after" in config:
            self._fill_after(node, config["after"], (place, "after"))
        if "tags" in config:
            node.tags = self._strings(config["tags"], (place, "tags"))
        if "meta" in config:
            node.meta = config["meta"]
        if "output" in config:
            node.output = config["output"]
            self._problems.attempt((place, "output"), partial(check_plain, "output"), node.output)

    def _fill_history(self, node: StateNode, config: Mapping[str, Any], place: Place) -> None:
        depth = config.get("history", "shallow")
        if depth is not True and depth not in ("shallow", "deep"):
            message = f"expected 'shallow', 'deep' or True, got {short_repr(depth)}"
            self._problems.error((place, "history"), message)
        node.deep = depth == "deep"
        if "target" in config:
            node.default = self._targets(node, config["target"], (place, "target")) or None
        node.defaults_to_parallel = self._rules.history_defaults_to_parallel

    def _fill_initial(self, node: StateNode, config: Mapping[str, Any], place: Place) -> None:
        place = (place, "initial")
        initial = config.get("initial")
        if isinstance(initial, Mapping):
            self._check_keys(initial, INITIAL_KEYS, place)
            if "actions" in initial:
                node.initial_actions = self._actions(initial["actions"], (place, "actions"))
            initial = initial.get("target")
        child = node.child(initial) if isinstance(initial, str) else None
        if child is not None:
            node.initial = child
            return
        known = (*node.children, *node.histories)
        if initial is None:
            few = ", ".join(map(short_repr, known[:10])) or "none"
            self._problems.error(place, f"missing: name the child to enter by default, of {few}")
        else:
            self._problems.error(place, unknown("child", initial, known))

    def _fill_transitions(self, node: StateNode, config: Mapping[str, Any], place: Place) -> None:
        wildcards: list[str] = []
        if "on" in config:
            place_of_on = (place, "on")
            on = self._problems.mapping(place_of_on, config["on"])
            for descriptor, transitions in on.items():
                at = (place_of_on, descriptor)
                if not descriptor:
                    self._problems.error(
                        at, "an event type must not be empty; use 'always' instead"
                    )
                elif descriptor[-1] == "*" and _is_wildcard(descriptor):
                    wildcards.append(descriptor)
                node.on[descriptor] = self._transitions(node, descriptor, transitions, at)
        if "onDone" in config:
            done = done_event_type(node.id)
            if done[-1] == "*" and done not in node.on and _is_wildcard(done):
                wildcards.append(done)
            node.on[done] = self._transitions(node, done, config["onDone"], (place, "onDone"))
        if wildcards:
            node.wildcards = tuple(sorted(wildcards, key=len, reverse=True))
        if "always" in config:
            always = config["always"]
            node.always = self._transitions(node, "always", always, (place, "always"))

    def _fill_after(self, node: StateNode, config: object, place: Place) -> None:
        """Add the transitions of an `after`, and its timers to the entry and exit actions."""
        node.after = keys_of_after(config, node.id, place, self._problems)
        starting: list[Executable] = []
        for after in node.after.values():
            self._add_delayed(node, after)
            wait = self._wait(after)
            if wait is not None:
                event = {"type": after.event_type}
                starting.append(scheduler(event, NO_PARAMS, wait=wait, id=after.event_type))
        node.entry += tuple(starting)
        node.exit += tuple([canceller(event_type, NO_PARAMS) for event_type in node.after])

    def _add_delayed(self, node: StateNode, after: After) -> None:
        self._refuse_bare_targets(after)
        event_type = after.event_type
        transitions = self._transitions(node, event_type, after.config, after.place)
        if not transitions:
            return
        if event_type not in node.on and _is_wildcard(event_type):
            wildcards = (*node.wildcards, event_type)
            node.wildcards = tuple(sorted(wildcards, key=len, reverse=True))
        node.on[event_type] = node.on.get(event_type, ()) + transitions

    def _refuse_bare_targets(self, after: After) -> None:
        if isinstance(after.config, str):
            return
        for at, target in listed(after.place, after.config):
            if isinstance(target, str):
                self._problems.error(
                    at,
                    f"write {{'target': {short_repr(target)}}}: in a list of 'after', XState takes "
                    "a string for a transition without a target",
                )

    def _wait(self, after: After) -> Wait | None:
        delays = self._implementations.delays
        if isinstance(after.delay, str):
            return self._problems.attempt(after.place, delays.of_key, after.delay)
        return self._problems.attempt(after.place, delays.of_number, after.delay)

    def _transitions(
        self, node: StateNode, descriptor: str, configs: object, place: Place
    ) -> tuple[Transition, ...]:
        if type(configs) is str or type(configs) is dict:
            return (self._transition(node, descriptor, configs, place),)
        return tuple(
            self._transition(node, descriptor, config, at) for at, config in listed(place, configs)
        )

    def _transition(
        self, node: StateNode, descriptor: str, config: object, place: Place
    ) -> Transition:
        if isinstance(config, str):
            transition = Transition(node, descriptor)
            if config:
                transition.targets = self._targets(node, config, (place, "target"))
            return transition
        checked = config if type(config) is dict else self._problems.mapping(place, config)
        self._check_keys(checked, TRANSITION_KEYS, place)
        transition = Transition(node, descriptor, checked)
        if "target" in checked:
            transition.targets = self._targets(node, checked["target"], (place, "target"))
        if "actions" in checked:
            transition.actions = self._actions(checked["actions"], (place, "actions"))
        if "reenter" in checked:
            reenter = checked["reenter"]
            if not isinstance(reenter, bool):
                message = f"expected True or False, got {short_repr(reenter)}"
                self._problems.error((place, "reenter"), message)
            transition.reenter = reenter is True
        if "guard" in checked:
            test = self._implementations.test
            transition.guard = self._problems.attempt((place, "guard"), test, checked["guard"])
        return transition

    def _targets(self, node: StateNode, target: object, place: Place) -> tuple[StateNode, ...]:
        if isinstance(target, str):
            if not target:
                return ()
            only = self._target(node, target, place)
            return () if only is None else (only,)
        found = [self._target(node, each, place) for each in self._strings(target, place)]
        targets = tuple(dict.fromkeys(each for each in found if each is not None))
        if len(targets) > 1:
            check_targets(targets, place, self._problems)
        return targets

    def _target(self, node: StateNode, target: str, place: Place) -> StateNode | None:
        # Most targets name a sibling, without characters that are special in a path.
        if node.parent is not None and target.isidentifier():
            sibling = node.parent.children.get(target)
            if sibling is not None:
                return sibling
        find = partial(state_of_target, source=node, by_id=self._by_id)
        return self._problems.attempt(place, find, target)

    def _strings(self, value: object, place: Place) -> tuple[str, ...]:
        strings: list[str] = []
        for at, item in listed(place, value):
            if isinstance(item, str):
                strings.append(item)
            else:
                self._problems.error(at, f"expected a string, got {short_repr(item)}")
        return tuple(strings)

    def _actions(self, actions: object, place: Place) -> tuple[Executable, ...]:
        make = self._implementations.executable
        executables = [
            self._problems.attempt(at, make, action) for at, action in listed(place, actions)
        ]
        return tuple([executable for executable in executables if executable is not None])

    def _check_keys(self, config: Mapping[str, Any], keys: Keys, place: Place) -> None:
        if not config.keys() <= keys.silent:
            keys.check(config, place, self._problems)


def _is_wildcard(descriptor: str) -> bool:
    *before, last = descriptor.split(".")
    return last == "*" and "*" not in before
