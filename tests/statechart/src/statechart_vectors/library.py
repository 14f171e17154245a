"""The actions and guards that the cases use, and their configs as ours."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict

from arvo_statechart import (
    BuiltInGuard,
    Call,
    Machine,
    and_,
    assign,
    cancel,
    emit,
    enqueue_actions,
    log,
    not_,
    or_,
    raise_,
    state_in,
)
from arvo_statechart.typing import (
    Action,
    ActionImplementation,
    Delay,
    Guard,
    GuardImplementation,
    MachineConfig,
    XStateVersion,
)

from .json_values import at_path, fill, is_number, mentions, same


class Observations:
    """Records what the actions of a machine did, in order."""

    def __init__(self) -> None:
        self.actions: list[dict[str, Any]] = []
        self.notes: list[Any] = []

    def clear(self) -> None:
        self.actions.clear()
        self.notes.clear()


class Implementations(TypedDict):
    """What the names in a config stand for."""

    actions: Mapping[str, ActionImplementation]
    guards: Mapping[str, GuardImplementation]
    delays: Mapping[str, Delay]


class Failure(Exception):
    """Raised by the actions and guards that fail on purpose."""


def build(config: Mapping[str, Any], seen: Observations, *, xstate: XStateVersion) -> Machine:
    """Build the machine of a case, with every action observed."""
    return Machine(machine_config(config), **implementations(config, seen), xstate=xstate)


def implementations(
    config: Mapping[str, Any], seen: Observations, *, notes_logs: bool = False
) -> Implementations:
    """Return what the names in the config of a case stand for, with every action observed.

    Args:
        config: The case's.
        seen: Where actions are recorded.
        notes_logs: Whether `log` is a note, for hosts that keep what it says to themselves.
    """
    acts = {**_ACTIONS, "log": _note_log} if notes_logs else _ACTIONS
    return {
        "actions": {
            "delayed": _observed("raise", _nothing, seen),
            **{name: _observed(name, act, seen) for name, act in acts.items()},
        },
        "guards": {name: _GUARDS[name] for name in _GUARDS},
        "delays": {name: _delay(delay) for name, delay in config.get("delays", {}).items()},
    }


# --- configs ---


def machine_config(config: Mapping[str, Any]) -> MachineConfig:
    """Return the config of a case with its templates and guards as Python values."""
    root: Any = _state(config)
    context = config.get("context", {})
    if mentions(context, "$input"):
        root["context"] = lambda call: fill(context, {"$input": call.input})
    return root  # type: ignore[no-any-return]  # checked by Machine


def _state(config: Mapping[str, Any]) -> dict[str, Any]:
    state = _with_actions({key: value for key, value in config.items() if key != "delays"})
    if isinstance(state.get("initial"), Mapping):
        state["initial"] = _with_actions(state["initial"])
    if "states" in state:
        state["states"] = {key: _state(below) for key, below in state["states"].items()}
    for key in ("on", "after"):
        if key in state:
            state[key] = {word: _transitions(each) for word, each in state[key].items()}
    for key in ("always", "onDone"):
        if key in state:
            state[key] = _transitions(state[key])
    if "output" in state:
        state["output"] = _template(state["output"])
    return state


def _transitions(config: Any) -> Any:
    if isinstance(config, list):
        return [_transitions(each) for each in config]
    if not isinstance(config, Mapping):
        return config
    guard = {"guard": guard_of(config["guard"])} if "guard" in config else {}
    return {**_with_actions(config), **guard}


def _with_actions(config: Mapping[str, Any]) -> dict[str, Any]:
    keys = config.keys() & {"actions", "entry", "exit"}
    return {**config, **{key: _actions(config[key]) for key in keys}}


def _actions(config: Any) -> list[Action]:
    listed = config if isinstance(config, list) else [config]
    return [each for action in listed for each in _delayed(action)]


def _delayed(action: Any) -> list[Action]:
    """Return an action; a delayed `raise` is made here, so that the machine checks its delay."""
    match action:
        case {"type": "raise", "params": {"delay": delay, "event": event} as params}:
            observed: Action = {"type": "delayed", "params": params}
            later = raise_(_template(event), delay=_delay(delay), id=params.get("id"))
            return [observed, later]
        case _:
            return [action]


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


def _delay(config: Any) -> Any:
    """Return a delay of a case as one of ours: a number, a name, or a function for a reference."""
    match config:
        case {"$num": text}:
            return float(text)
        case {"$fail": message}:
            return lambda call: _raise_failure(message)
        case {}:
            return _template(config)
        case _:
            return config


def _raise_failure(message: str) -> None:
    raise Failure(message)


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
    return raise_(_filled(call, "event"), id=call.params.get("id"))


def _nothing(call: Call, seen: Observations) -> Iterator[Action]:
    return iter(())


def _cancel(call: Call, seen: Observations) -> Action:
    return cancel(call.params["id"])


def _emit(call: Call, seen: Observations) -> Action:
    return emit(_filled(call, "event"))


def _log(call: Call, seen: Observations) -> Action:
    return log(_filled(call, "message"))


def _note(call: Call, seen: Observations) -> Action:
    return _noted(_filled(call, "text"), seen)


def _note_log(call: Call, seen: Observations) -> Action:
    return _noted(_filled(call, "message"), seen)


def _noted(value: Any, seen: Observations) -> Action:
    return lambda _: seen.notes.append(value)


def _fail(call: Call, seen: Observations) -> Action:
    def fail(_: Call) -> None:
        raise Failure(call.params["message"])

    return fail


def _enqueue(call: Call, seen: Observations) -> Iterator[Action]:
    for item in call.params["items"]:
        if "guard" not in item or call.check(guard_of(item["guard"])):
            yield from _actions(item["actions"])


_ACTIONS: dict[str, _Act] = {
    "set": _set,
    "inc": _inc,
    "mul": _mul,
    "pow": _pow,
    "append": _append,
    "copyFromEvent": _copy_from_event,
    "failAssign": _fail_assign,
    "raise": _raise,
    "cancel": _cancel,
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
