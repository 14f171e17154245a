"""The named actions and guards of a machine, and how what a config says becomes runnable."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from ._action_binding import assigner, emitter, enqueuer, logger, performer, raiser
from ._actions import Assign, BuiltInAction, Emit, EnqueueActions, Log, Raise
from ._call import NO_PARAMS, BuiltInGuard, Call, Params
from ._errors import MachineDefinitionError
from ._functions import check_plain
from ._guards import All, AnyOf, Not, StateIn
from ._labels import action_label
from ._node import Executable, StateNode, Test
from ._suggestion import unknown
from ._target import state_of_id

ActionImplementation: TypeAlias = Callable[[Call], object] | BuiltInAction
"""What a name of an action stands for."""

GuardImplementation: TypeAlias = Callable[[Call], bool] | BuiltInGuard
"""What a name of a guard stands for."""

T = TypeVar("T")


class Implementations:
    """The named actions and guards of a machine."""

    __slots__ = ("_actions", "_by_id", "_guards", "_plain")

    def __init__(
        self,
        *,
        actions: Mapping[str, ActionImplementation],
        guards: Mapping[str, GuardImplementation],
        by_id: Mapping[str, StateNode],
    ) -> None:
        self._actions = dict(actions)
        self._guards = dict(guards)
        self._by_id = by_id
        # Actions by name alone: the only ones that `enqueue_actions` may ask for again and again.
        self._plain: dict[str, Executable] = {}

    def executable(self, action: object) -> Executable:
        """Return what runs an action.

        Raises:
            MachineDefinitionError: If it is not an action, or there is none of that name.
        """
        if isinstance(action, str):
            found = self._plain.get(action)
            if found is None:
                found = self._plain[action] = self._named_action(action, NO_PARAMS)
            return found
        if isinstance(action, Mapping):
            return self._named_action(*_name_and_params("action", action))
        return self._bound_action(action, action_label(action), NO_PARAMS)

    def assigns(self, action: object) -> bool:
        """Whether an action of a machine that can be built changes the context by itself."""
        if isinstance(action, str):
            return isinstance(self._actions[action], Assign)
        if isinstance(action, Mapping):
            return isinstance(self._actions[action["type"]], Assign)
        return isinstance(action, Assign)

    def _named_action(self, name: str, params: Params) -> Executable:
        return self._bound_action(_look_up("action", name, self._actions), name, params)

    def _bound_action(self, action: object, name: str, params: Params) -> Executable:
        match action:
            case Assign(update=update):
                check_plain(
                    "assign", *(update.values() if isinstance(update, Mapping) else [update])
                )
                return assigner(update, params)
            case Emit(event=event):
                check_plain("emit", event)
                return emitter(event, params)
            case Raise(event=event):
                check_plain("raise_", event)
                return raiser(event, params)
            case Log(message=message):
                check_plain("log", message)
                return logger(message, params)
            case EnqueueActions(choose=choose):
                check_plain("enqueue_actions", choose)
                return enqueuer(choose, params, self.executable)
            case _:
                return performer(name, _function("action", action), params)

    def test(self, guard: object) -> Test:
        """Return what asks a guard.

        Raises:
            MachineDefinitionError: If it is not a guard, or there is none of that name.
        """
        if isinstance(guard, str):
            return self._bound_guard(_look_up("guard", guard, self._guards))
        if isinstance(guard, Mapping):
            name, params = _name_and_params("guard", guard)
            named = _look_up("guard", name, self._guards)
            if isinstance(named, BuiltInGuard) and params is not NO_PARAMS:
                raise MachineDefinitionError(
                    f"guard {name!r} is made of other guards: give the params to those"
                )
            return _with_params(self._bound_guard(named), params)
        return self._bound_guard(guard)

    def _bound_guard(self, guard: object) -> Test:
        match guard:
            case All(guards=guards):
                tests = [self.test(each) for each in guards]
                return lambda call: all(test(call) for test in tests)
            case AnyOf(guards=guards):
                tests = [self.test(each) for each in guards]
                return lambda call: any(test(call) for test in tests)
            case Not(guard=negated):
                test = self.test(negated)
                return lambda call: not test(call)
            case StateIn(value=str(value)) if value.startswith("#"):
                return partial(_is_active, state_of_id(value, self._by_id))
            case StateIn(value=value):
                return lambda call: call.matches(value)
            case _:
                return _function("guard", guard)


def _is_active(node: StateNode, call: Call) -> bool:
    if call.configuration is None:
        raise MachineDefinitionError("a call made by hand is in no state")
    return bool(call.configuration.mask & node.bit)


def _with_params(test: Test, params: Params) -> Test:
    if params is NO_PARAMS:
        return test

    def asks(call: Call) -> object:
        given = params(call) if callable(params) else params
        configuration = call.configuration
        with_params = Call(context=call.context, event=call.event, params=given)
        with_params.configuration = configuration
        return test(with_params)

    return asks


def _look_up(kind: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise MachineDefinitionError(unknown(kind, name, known))
    return known[name]


def _name_and_params(kind: str, config: Mapping[str, Any]) -> tuple[str, Params]:
    name, params = config.get("type"), config.get("params", NO_PARAMS)
    if not isinstance(name, str):
        raise MachineDefinitionError(f"{kind} {config!r} has no 'type' that is its name")
    check_plain(f"params of {name!r}:", params)
    return name, NO_PARAMS if params is None else params


def _function(kind: str, value: object) -> Callable[[Call], Any]:
    if not callable(value):
        raise MachineDefinitionError(
            f"{value!r} is not {'an' if kind == 'action' else 'a'} {kind}: expected a name, a "
            "mapping with 'type', a function, or what a helper of this package returns"
        )
    check_plain(kind, value)
    return value
