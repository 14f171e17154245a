"""The actions and guards that the cases use, and their configs as ours."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from arvo_statechart import (
    BuiltInGuard,
    Call,
    Machine,
    and_,
    assign,
    emit,
    enqueue_actions,
    log,
    not_,
    or_,
    raise_,
    state_in,
)
from arvo_statechart.typing import Action, ActionImplementation, Guard, MachineConfig, XStateVersion

from .json_values import at_path, fill, is_number, mentions, same


class Observations:
    """Records what the actions of a machine did, in order."""

    def __init__(self) -> None:
        self.actions: list[dict[str, Any]] = []
        self.notes: list[Any] = []

    def clear(self) -> None:
        self.actions.clear()
        self.notes.clear()


class Failure(Exception):
    """Raised by the actions and guards that fail on purpose."""


def build(config: Mapping[str, Any], seen: Observations, *, xstate: XStateVersion) -> Machine:
    """Build the machine of a case, with every action observed."""
    return Machine(
        machine_config(config),
        actions={name: _observed(name, _ACTIONS[name], seen) for name in _ACTIONS},
        guards={name: _GUARDS[name] for name in _GUARDS},
        xstate=xstate,
    )


# --- configs ---


def machine_config(config: Mapping[str, Any]) -> MachineConfig:
    """Return the config of a case with its templates and guards as Python values."""
    root: Any = _state(config)
    context = config.get("context", {})
    if mentions(context, "$input"):
        root["context"] = lambda call: fill(context, {"$input": call.input})
    return root  # type: ignore[no-any-return]  # checked by Machine


def _state(config: Mapping[str, Any]) -> dict[str, Any]:
    state = dict(config)
    if "states" in state:
        state["states"] = {key: _state(below) for key, below in state["states"].items()}
    if "on" in state:
        state["on"] = {key: _transitions(each) for key, each in state["on"].items()}
    for key in ("always", "onDone"):
        if key in state:
            state[key] = _transitions(state[key])
    if "output" in state:
        state["output"] = _template(state["output"])
    return state


def _transitions(config: Any) -> Any:
    if isinstance(config, list):
        return [_transitions(each) for each in config]
    if isinstance(config, Mapping) and "guard" in config:
        return {**config, "guard": guard_of(config["guard"])}
    return config


def guard_of(config: Any) -> Guard:
    """Return a guard of a case as one of ours; combinators have other names in the cases."""
    match config:
        case {"and": guards}:
            return and_([guard_of(each) for each in guards])
        case {"or": guards}:
            return or_([guard_of(each) for each in guards])
        case {"not": guard}:
            return not_(guard_of(guard))
        case {"stateIn": value}:
            return state_in(value)
        case _:
            return config  # type: ignore[no-any-return]  # a name, with or without parameters


def _template(template: object) -> Callable[[Call], Any]:
    return lambda call: fill(template, {"$ctx": call.context, "$event": call.event})


# --- actions ---

_Act = Callable[[Call, Observations], Action | Iterator[Action]]


def _observed(name: str, act: _Act, seen: Observations) -> ActionImplementation:
    def choose(call: Call) -> Iterator[Action]:
        params = {"params": call.params} if call.params else {}
        seen.actions.append({"type": name, **params})
        chosen = act(call, seen)
        if isinstance(chosen, Iterator):
            yield from chosen
        else:
            yield chosen

    return enqueue_actions(choose)


def _filled(call: Call, key: str) -> Any:
    return _template(call.params[key])(call)


def _set(call: Call, seen: Observations) -> Action:
    return _assign(call, lambda _: _filled(call, "value"))


def _assign(call: Call, value: Callable[[Any], Any]) -> Action:
    key = call.params["key"]
    return assign(lambda now: {key: value(now.context.get(key))})


def _number(value: Any) -> Any:
    return value if is_number(value) else 0


def _inc(call: Call, seen: Observations) -> Action:
    return _assign(call, lambda old: _number(old) + call.params.get("by", 1))


def _mul(call: Call, seen: Observations) -> Action:
    return _assign(call, lambda old: _number(old) * call.params["by"])


def _pow(call: Call, seen: Observations) -> Action:
    return _assign(call, lambda old: _number(old) ** call.params["by"])


def _append(call: Call, seen: Observations) -> Action:
    item = _filled(call, "value")
    return _assign(call, lambda old: [*(old if isinstance(old, list) else []), item])


def _copy_from_event(call: Call, seen: Observations) -> Action:
    return _assign(call, lambda _: at_path(call.event, call.params["from"]))


def _fail_assign(call: Call, seen: Observations) -> Action:
    def fail(_: Call) -> dict[str, Any]:
        raise Failure(call.params["message"])

    return assign(fail)


def _raise(call: Call, seen: Observations) -> Action:
    return raise_(_filled(call, "event"))


def _emit(call: Call, seen: Observations) -> Action:
    return emit(_filled(call, "event"))


def _log(call: Call, seen: Observations) -> Action:
    return log(_filled(call, "message"))


def _note(call: Call, seen: Observations) -> Action:
    text = _filled(call, "text")
    return lambda _: seen.notes.append(text)


def _fail(call: Call, seen: Observations) -> Action:
    def fail(_: Call) -> None:
        raise Failure(call.params["message"])

    return fail


def _enqueue(call: Call, seen: Observations) -> Iterator[Action]:
    for item in call.params["items"]:
        if "guard" not in item or call.check(guard_of(item["guard"])):
            actions = item["actions"]
            yield from actions if isinstance(actions, list) else [actions]


_ACTIONS: dict[str, _Act] = {
    "set": _set,
    "inc": _inc,
    "mul": _mul,
    "pow": _pow,
    "append": _append,
    "copyFromEvent": _copy_from_event,
    "failAssign": _fail_assign,
    "raise": _raise,
    "emit": _emit,
    "log": _log,
    "note": _note,
    "fail": _fail,
    "enqueue": _enqueue,
}

# --- guards ---


def _in_context(call: Call) -> object:
    return at_path(call.context, call.params["key"])


def _equals(call: Call) -> bool:
    return same(_in_context(call), call.params["value"])


def _compares(call: Call, compare: Callable[[Any, Any], bool]) -> bool:
    value = _in_context(call)
    return is_number(value) and compare(value, call.params["value"])


def _fail_guard(call: Call) -> bool:
    raise Failure(call.params["message"])


_GUARDS: dict[str, Callable[[Call], bool] | BuiltInGuard] = {
    "yes": lambda call: True,
    "no": lambda call: False,
    "eq": _equals,
    "neq": lambda call: not _equals(call),
    "gt": lambda call: _compares(call, lambda value, limit: value > limit),
    "lt": lambda call: _compares(call, lambda value, limit: value < limit),
    "exists": lambda call: _in_context(call) is not None,
    "in": lambda call: any(same(_in_context(call), value) for value in call.params["values"]),
    "eventEq": lambda call: same(at_path(call.event, call.params["key"]), call.params["value"]),
    "failGuard": _fail_guard,
}
