"""The named actions, guards and delays of a machine, and the compilation of actions and guards."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar

from arvo_statechart._actions import (
    Assign,
    BuiltInAction,
    Cancel,
    Emit,
    EnqueueActions,
    Log,
    Raise,
    action_label,
)
from arvo_statechart._call import NO_PARAMS, BuiltInGuard, Call, Params, new_call
from arvo_statechart._delay import Delay
from arvo_statechart._errors import MachineDefinitionError
from arvo_statechart._guards import All, AnyOf, Not, StateIn
from arvo_statechart._messages import short_repr, unknown

from .checks import (
    check_cancelled,
    check_choice,
    check_event,
    check_plain,
    check_state_value,
    check_timer_id,
    check_update,
    looks_at_params,
)
from .delays import Delays
from .executables import (
    Executable,
    assigner,
    canceller,
    emitter,
    enqueuer,
    logger,
    performer,
    raiser,
    scheduler,
)
from .keys import ACTION_KEYS, GUARD_KEYS, Keys
from .problems import Problems
from .states import StateNode, Test
from .targets import state_of_id

ActionImplementation: TypeAlias = Callable[[Call], object] | BuiltInAction
"""The implementation of a named action."""

GuardImplementation: TypeAlias = Callable[[Call], bool] | BuiltInGuard
"""The implementation of a named guard."""

T = TypeVar("T")


# Guards made of others are evaluated by nested calls.
_MOST_LEVELS = 100
_MOST_PARTS = 1_000


class Implementations:
    """The named actions, guards and delays of a machine."""

    __slots__ = (
        "_actions",
        "_by_id",
        "_guards",
        "_levels",
        "_parts",
        "_plain",
        "_tests",
        "delays",
    )

    def __init__(
        self,
        *,
        actions: Mapping[str, ActionImplementation],
        guards: Mapping[str, GuardImplementation],
        delays: Mapping[str, Delay],
        longest_delay: timedelta | None,
        by_id: Mapping[str, StateNode],
    ) -> None:
        self._actions = dict(actions)
        self._guards = dict(guards)
        self.delays: Delays = Delays(delays, longest=longest_delay)
        self._by_id = by_id
        # Actions that were used by name alone, as `enqueue_actions` may use them repeatedly.
        self._plain: dict[str, Executable] = {}
        # Guards by name; None while one is being compiled, so that it cannot be made of itself.
        self._tests: dict[str, Test | None] = {}
        self._levels = 0
        self._parts = 0

    def check_all(self, problems: Problems) -> None:
        """Note invalid implementations, even if nothing uses them."""
        for name in self._actions.keys() - self._plain.keys():
            problems.attempt(None, self._try_action, name)
        for name in self._guards.keys() - self._tests.keys():
            problems.attempt(None, self._try_guard, name)
        self.delays.check_all(problems)

    def _try_action(self, name: str) -> None:
        try:
            self._bound_action(self._actions[name], NO_PARAMS, name)
        except MachineDefinitionError as error:
            raise MachineDefinitionError(f"action {short_repr(name)}: {error}") from None

    def _try_guard(self, name: str) -> None:
        try:
            self._named_guard(name)
        except MachineDefinitionError as error:
            raise MachineDefinitionError(f"guard {short_repr(name)}: {error}") from None

    def executable(self, action: object) -> Executable:
        """Return a compiled action.

        Raises:
            MachineDefinitionError: If it is not an action, or its name is unknown.
        """
        if isinstance(action, str):
            found = self._plain.get(action)
            if found is None:
                found = self._plain[action] = self._named_action(action, NO_PARAMS)
            return found
        if isinstance(action, Mapping):
            return self._named_action(*_name_and_params("action", action, ACTION_KEYS))
        return self._bound_action(action, NO_PARAMS)

    def action(self, action: object) -> object:
        """Return an action with its name resolved; the machine must be well defined."""
        if isinstance(action, str):
            return self._actions[action]
        return self._actions[action["type"]] if isinstance(action, Mapping) else action

    def guard(self, guard: object) -> object:
        """Return a guard with its name resolved; the machine must be well defined."""
        if isinstance(guard, str):
            return self._guards[guard]
        return self._guards[guard["type"]] if isinstance(guard, Mapping) else guard

    def _named_action(self, name: str, params: Params) -> Executable:
        return self._bound_action(_look_up("action", name, self._actions), params, name)

    def _bound_action(self, action: object, params: Params, name: str = "") -> Executable:
        match action:
            case Assign(update=update):
                check_update(update)
                executable = assigner(update, params)
            case Emit(event=event):
                check_event("emit", event)
                executable = emitter(event, params)
            case Raise(event=event, delay=None, id=timer):
                check_event("raise_", event)
                check_timer_id(timer)
                executable = raiser(event, params)
            case Raise(event=event, delay=delay, id=timer):
                check_event("raise_", event)
                check_timer_id(timer)
                wait = self.delays.of_action(delay)
                executable = scheduler(event, params, wait=wait, id=timer)
                action = replace(action, delay=wait)
            case Cancel(id=cancelled):
                check_cancelled(cancelled)
                executable = canceller(cancelled, params)
            case Log(message=message):
                check_plain("log", message)
                executable = logger(message, params)
            case EnqueueActions(choose=choose):
                check_choice(choose)
                return enqueuer(choose, params, self.executable)
            case _:
                function = _function("action", action)
                return performer(name or action_label(action), function, params)
        if params is not NO_PARAMS and not looks_at_params(action):
            raise MachineDefinitionError(
                f"action {short_repr(name)} does not use its params: leave them out, or "
                "give it a function that uses call.params"
            )
        return executable

    def test(self, guard: object) -> Test:
        """Return a compiled guard.

        Raises:
            MachineDefinitionError: If it is not a guard, or its name is unknown.
        """
        if isinstance(guard, str):
            return self._named_guard(guard)
        if isinstance(guard, Mapping):
            name, params = _name_and_params("guard", guard, GUARD_KEYS)
            named = self._named_guard(name)
            if isinstance(self._guards[name], BuiltInGuard) and params is not NO_PARAMS:
                raise MachineDefinitionError(
                    f"guard {short_repr(name)} is made of other guards: give the params to those"
                )
            return _with_params(named, params)
        return self._bound_guard(guard)

    def _named_guard(self, name: str) -> Test:
        if name in self._tests:
            found = self._tests[name]
            if found is None:
                raise MachineDefinitionError(f"guard {short_repr(name)} is made of itself")
            return found
        guard = _look_up("guard", name, self._guards)
        self._tests[name] = None
        try:
            made = self._tests[name] = self._bound_guard(guard)
        finally:
            if self._tests[name] is None:
                del self._tests[name]
        return made

    def _bound_guard(self, guard: object) -> Test:
        if not isinstance(guard, BuiltInGuard):
            return _function("guard", guard)
        if self._levels == 0:
            self._parts = 0
        self._levels += 1
        self._parts += 1
        try:
            if self._levels > _MOST_LEVELS or self._parts > _MOST_PARTS:
                raise MachineDefinitionError(
                    f"a guard may be made of others at most {_MOST_LEVELS} levels deep and of at most "
                    f"{_MOST_PARTS:,} parts: put some of them together into a function"
                )
            return self._built_in_guard(guard)
        finally:
            self._levels -= 1

    def _built_in_guard(self, guard: BuiltInGuard) -> Test:
        match guard:
            case All(guards=tuple(guards)):
                tests = [self.test(each) for each in guards]
                return lambda call: all(test(call) for test in tests)
            case AnyOf(guards=tuple(guards)):
                tests = [self.test(each) for each in guards]
                return lambda call: any(test(call) for test in tests)
            case Not(guard=negated):
                test = self.test(negated)
                return lambda call: not test(call)
            case StateIn(value=str(value)) if value.startswith("#"):
                return partial(_is_active, state_of_id(value, self._by_id))
            case StateIn(value=value):
                check_state_value(value)
                return lambda call: call.matches(value)
            case _:
                name = "and_" if isinstance(guard, All) else "or_"
                raise MachineDefinitionError(f"{name} expects a list of guards")


def _is_active(node: StateNode, call: Call) -> bool:
    if call._configuration is None:
        raise MachineDefinitionError("a call made by hand has no state")
    return node in call._configuration.members


def _with_params(test: Test, params: Params) -> Test:
    if params is NO_PARAMS:
        return test

    def test_with_params(call: Call) -> object:
        given = params(call) if callable(params) else params
        return test(new_call(call.context, call.event, given, call._configuration))

    return test_with_params


def _look_up(kind: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise MachineDefinitionError(unknown(kind, name, known))
    return known[name]


def _name_and_params(kind: str, config: Mapping[str, Any], keys: Keys) -> tuple[str, Params]:
    keys.refuse_others(config)
    name, params = config.get("type"), config.get("params", NO_PARAMS)
    if not isinstance(name, str):
        raise MachineDefinitionError(
            f"{kind} {short_repr(config)} must have a string 'type', which is its name"
        )
    if params is None or params is NO_PARAMS:
        return name, NO_PARAMS
    if not isinstance(params, Mapping) and not callable(params):
        raise MachineDefinitionError(
            f"params of {short_repr(name)}: expected a mapping or a function, got {short_repr(params)}"
        )
    check_plain(f"params of {short_repr(name)}:", params)
    return name, params


def _function(kind: str, value: object) -> Callable[[Call], Any]:
    if isinstance(value, BuiltInAction | BuiltInGuard):
        other = "a guard" if isinstance(value, BuiltInGuard) else "an action"
        raise MachineDefinitionError(f"expected {_article(kind)}, got {other}")
    if not callable(value):
        raise MachineDefinitionError(
            f"{short_repr(value)} is not {_article(kind)}: expected a name, a mapping with 'type', "
            "a function, or what a helper of this package returns"
        )
    check_plain(kind, value)
    return value


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "action" else f"a {kind}"
