"""Everything in a definition that the interpreter would ignore is refused, with its place."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from arvo_statechart import (
    Call,
    Machine,
    MachineDefinitionError,
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
from arvo_statechart.typing import MachineConfig


def problem_of(config: Any, **more: Any) -> tuple[str, str]:
    with pytest.raises(MachineDefinitionError) as refused:
        Machine(cast(MachineConfig, config), **more)
    (problem,) = refused.value.problems
    return problem.location, problem.message


def is_paid(call: Call) -> bool:
    return True


IMPLEMENTATIONS: Any = {"actions": {"g": print}, "guards": {"g": is_paid}}
CHILD: Any = {"initial": "a", "states": {"a": {"type": "final"}}}


def in_a_state(**config: Any) -> dict[str, Any]:
    return {"initial": "a", "states": {"a": config}}


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        ({"entry": {"type": "g", "parms": {}}}, "entry", "'parms': did you mean 'params'?"),
        ({"exit": [{"type": "g", "wait": 3}]}, "exit[0]", "unknown key 'wait'"),
        ({"on": {"GO": {"actions": {"type": "g", "exec": 1}}}}, "on.GO.actions", "of XState 4"),
        ({"on": {"GO": {"actions": {"type": "g", "delay": 1}}}}, "on.GO.actions", "write raise_("),
        ({"on": {"GO": {"guard": {"type": "g", "parms": {}}}}}, "on.GO.guard", "mean 'params'?"),
        ({"on": {"GO": {"guard": {"and": ["g"]}}}}, "on.GO.guard", "write and_([...])"),
        ({"on": {"GO": {"guard": {"or": ["g"]}}}}, "on.GO.guard", "write or_([...])"),
        ({"on": {"GO": {"guard": {"not": "g"}}}}, "on.GO.guard", "write not_(...)"),
        ({"on": {"GO": {"guard": {"stateIn": "#a"}}}}, "on.GO.guard", "write state_in(...)"),
        ({"on": {"GO": {"guard": not_(cast(Any, {"type": "g", "x": 1}))}}}, "on.GO.guard", "'x'"),
        ({"entry": {"type": "g", "params": 5}}, "entry", "params of 'g': expected a mapping"),
        ({"on": {"GO": {"guard": {"type": "g", "params": "x"}}}}, "on.GO.guard", "params of 'g'"),
    ],
)
def test_an_action_or_guard_with_keys_beside_type_and_params_is_refused(
    config: Any, location: str, message: str
) -> None:
    found, text = problem_of(config, **IMPLEMENTATIONS)
    assert found == location
    assert message in text


@pytest.mark.parametrize(
    ("config", "location"),
    [
        ({"description": 3}, "description"),
        (in_a_state(description=["x"]), "states.a.description"),
        ({"on": {"GO": {"description": None}}}, "on.GO.description"),
        ({"always": [{"guard": "g", "description": {}}]}, "always[0].description"),
        (in_a_state(type="history", description=1, target="b"), "states.a.description"),
    ],
)
def test_a_description_that_is_not_a_string_is_refused(config: Any, location: str) -> None:
    if "states" in config:
        config["states"]["b"] = {}
        config["initial"] = "b"
    found, message = problem_of(config, **IMPLEMENTATIONS)
    assert found == location
    assert "expected a string" in message


@pytest.mark.parametrize("description", ["", "words"])
def test_a_description_that_is_a_string_is_accepted(description: str) -> None:
    Machine({"description": description, "on": {"GO": {"description": description}}})


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        (in_a_state(history="deep", type="atomic"), "states.a.history", "only a history state"),
        (in_a_state(history="shallow", **CHILD), "states.a.history", "only a history state"),
        (in_a_state(type="final", history=True), "states.a.history", "only a history state"),
        (in_a_state(target="a"), "states.a.target", "only a history state"),
        (in_a_state(onDone="a"), "states.a.onDone", "cannot reach an end of its own"),
        (in_a_state(type="final", onDone="a"), "states.a.onDone", "an end itself"),
        ({**CHILD, "onDone": {}}, "onDone", "the end of the machine"),
        (in_a_state(initial="b"), "states.a.initial", "no initial child"),
        (
            in_a_state(type="parallel", initial="b", states={"b": {}}),
            "states.a.initial",
            "parallel",
        ),
        (in_a_state(type="final", initial="b"), "states.a.initial", "no initial child"),
        (in_a_state(output=1), "states.a.output", "only final states and the root"),
        (in_a_state(output=1, **CHILD), "states.a.output", "only final states and the root"),
        (in_a_state(context={}), "states.a.context", "it belongs to the root"),
        (in_a_state(guard="g"), "states.a.guard", "it belongs to a transition"),
        ({"on": {"GO": {"entry": "g"}}}, "on.GO.entry", "it belongs to a state"),
        ({"params": {}}, "params", "it belongs to a named guard or action"),
        ({"version": 1}, "version", "expected a string"),
        ({"states": None}, "states", "expected a mapping"),
        ({"on": {"GO": {"target": None}}}, "on.GO.target", "expected a string"),
        (in_a_state(type=["final"]), "states.a.type", "unknown state type"),
        (
            {"initial": "b", "states": {"a": {"type": "history", "history": 1}, "b": {}}},
            "states.a.history",
            "expected 'shallow'",
        ),
    ],
)
def test_a_key_without_effect_in_its_place_is_refused(
    config: Any, location: str, message: str
) -> None:
    found, text = problem_of(config, **IMPLEMENTATIONS)
    assert found == location
    assert message in text


@pytest.mark.parametrize(
    "key", ["initial", "on", "always", "onDone", "entry", "exit", "tags", "meta", "output"]
)
def test_keys_of_active_states_are_refused_for_a_history_state(key: str) -> None:
    config = {"initial": "a", "states": {"a": {}, "h": {"type": "history", key: []}}}
    location, message = problem_of(config)
    assert location == f"states.h.{key}"
    assert "never active" in message


def test_a_state_may_have_history_false() -> None:
    Machine(cast(MachineConfig, in_a_state(history=False)))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (raise_(cast(Any, "X")), "write raise_({'type': 'X'})"),
        (raise_(cast(Any, {"typ": "X"})), "raise_: an event must be a mapping"),
        (emit(cast(Any, "X")), "write emit({'type': 'X'})"),
        (emit(cast(Any, "X" * 1_000)), "emit: an event must be a mapping"),
        (emit(cast(Any, {"type": 3})), "emit: an event must be a mapping"),
        (assign(cast(Any, "n")), "assign expects a function, or a mapping"),
        (assign(cast(Any, {1: 2})), "assign expects a function, or a mapping"),
        (enqueue_actions(cast(Any, ["g"])), "enqueue_actions expects a function"),
        (and_(["g"]), "expected an action, got a guard"),
    ],
)
def test_a_built_in_action_with_a_wrong_argument_is_refused(action: Any, message: str) -> None:
    location, text = problem_of({"on": {"GO": {"actions": ["g", action]}}}, **IMPLEMENTATIONS)
    assert location == "on.GO.actions[1]"
    assert message in text


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        (and_(cast(Any, "g")), "and_ expects a list of guards"),
        (or_(cast(Any, is_paid)), "or_ expects a list of guards"),
        (state_in(cast(Any, 3)), "state_in expects"),
        (state_in(cast(Any, {"a": {"b": 3}})), "state_in expects"),
        (log("x"), "expected a guard, got an action"),
    ],
)
def test_a_built_in_guard_with_a_wrong_argument_is_refused(guard: Any, message: str) -> None:
    location, text = problem_of({"on": {"GO": {"guard": not_(guard)}}}, **IMPLEMENTATIONS)
    assert location == "on.GO.guard"
    assert message in text


@pytest.mark.parametrize(
    "action", [raise_({"type": "X"}), emit({"type": "X"}), log("x"), assign({"n": 1})]
)
def test_params_of_an_action_that_uses_none_are_refused(action: Any) -> None:
    config = {"on": {"X": {}}, "entry": {"type": "x", "params": {"n": 1}}}
    location, message = problem_of(config, actions={"x": action})
    assert location == "entry"
    assert "leave them out" in message


@pytest.mark.parametrize(
    "action",
    [
        emit(lambda call: {"type": "X", **call.params}),
        assign({"m": 1, "n": lambda call: call.params["n"]}),
        assign(lambda call: dict(call.params)),
        log(lambda call: call.params),
        enqueue_actions(lambda call: []),
    ],
)
def test_params_of_an_action_with_a_function_are_accepted(action: Any) -> None:
    Machine({"entry": {"type": "x", "params": {"n": 1}}}, actions={"x": action})


async def asynchronous(call: Call) -> None: ...


@pytest.mark.parametrize(
    ("implementations", "message"),
    [
        ({"actions": {"x": 5}}, "action 'x': 5 is not an action"),
        ({"actions": {"x": asynchronous}}, "action 'x': action 'asynchronous' is an async"),
        ({"actions": {"x": raise_(cast(Any, "X"))}}, "action 'x': raise_: an event"),
        ({"actions": {"x": not_("g")}}, "action 'x': expected an action, got a guard"),
        ({"guards": {"x": "g"}}, "guard 'x': 'g' is not a guard"),
        ({"guards": {"x": not_("y")}}, "guard 'x': unknown guard 'y'"),
        ({"guards": {"x": state_in("#y")}}, "guard 'x': unknown target '#y'"),
        ({"actions": [print]}, "expected a mapping"),
        ({"guards": {3: is_paid}}, "expected strings as keys"),
        ({"xstate": "5.30"}, "xstate: unknown version '5.30'"),
        ({"max_microsteps": "5"}, "max_microsteps: expected a whole number of at least 1"),
    ],
)
def test_an_invalid_implementation_is_refused_even_if_nothing_uses_it(
    implementations: Any, message: str
) -> None:
    location, text = problem_of({}, **implementations)
    assert location == "(root)"
    assert message in text


@pytest.mark.parametrize(
    "guards",
    [{"a": not_("a")}, {"a": not_("b"), "b": or_(["c", "a"]), "c": is_paid}],
)
def test_a_guard_made_of_itself_is_refused(guards: Mapping[str, Any]) -> None:
    location, message = problem_of({"on": {"GO": {"guard": "a"}}}, guards=guards)
    assert location == "on.GO.guard"
    assert message == "guard 'a' is made of itself"


def nested(times: int, wrap: Callable[[Any], Any]) -> Any:
    guard: Any = is_paid
    for _ in range(times):
        guard = wrap(guard)
    return guard


@pytest.mark.parametrize(
    "guard",
    [
        nested(101, not_),
        nested(5_000, not_),
        nested(50, lambda guard: and_([guard, guard])),
        and_([not_(is_paid)] * 1_000),
    ],
)
def test_a_guard_made_of_too_many_others_is_refused(guard: Any) -> None:
    location, message = problem_of({"on": {"GO": {"guard": guard}}})
    assert location == "on.GO.guard"
    assert "at most 100 levels" in message


def test_a_guard_made_of_a_hundred_others_is_accepted() -> None:
    machine = Machine({"on": {"GO": {"guard": nested(100, not_), "actions": log("x")}}})
    assert machine.start().snapshot.can({"type": "GO"})


def test_guards_that_name_each_other_twice_are_compiled_once() -> None:
    guards: Any = {f"g{n}": and_([f"g{n - 1}", f"g{n - 1}"]) for n in range(1, 61)}
    Machine({"on": {"GO": {"guard": "g60"}}}, guards={**guards, "g0": is_paid})


STATE_WORDS = [
    "invoke", "activities", "actions", "guards", "actors", "services", "delays", "data",
    "types", "schemas", "schema", "tsTypes", "strict", "predictableActionArguments",
    "preserveActionOrder", "delimiter", "parallel", "onEntry", "onExit", "onError", "on_enter",
    "on_exit", "transitions", "children", "initial_state", "name", "timeout", "final",
]  # fmt: skip
TRANSITION_WORDS = [
    "cond", "in", "internal", "external", "before", "after", "conditions", "unless", "source",
    "dest", "trigger", "event", "on", "to", "validators", "prepare", "delay", "action",
]  # fmt: skip


@pytest.mark.parametrize("word", STATE_WORDS)
@pytest.mark.parametrize("below", [False, True], ids=["root", "state"])
def test_a_word_of_another_library_in_a_state_gets_a_hint(word: str, below: bool) -> None:
    location, message = problem_of(in_a_state(**{word: []}) if below else {word: []})
    assert location == ("states.a." if below else "") + word
    assert ": " in message
    assert "did you mean" not in message
    assert "there is" not in message


@pytest.mark.parametrize("word", TRANSITION_WORDS)
def test_a_word_of_another_library_in_a_transition_gets_a_hint(word: str) -> None:
    location, message = problem_of({"on": {"GO": [{word: "x"}]}})
    assert location == f"on.GO[0].{word}"
    assert message.startswith(f"unknown key {word!r} of a transition: ")
    assert "there is" not in message


@pytest.mark.parametrize("word", ["guard", "cond", "reenter"])
def test_a_word_of_another_library_in_an_initial_transition_gets_a_hint(
    word: str,
) -> None:
    location, message = problem_of({**CHILD, "initial": {"target": "a", word: "x"}})
    assert location == f"initial.{word}"
    assert message.startswith(f"unknown key {word!r} of an initial transition: the initial child")


@pytest.mark.parametrize(
    ("config", "key", "message"),
    [
        (in_a_state(cond="g"), "cond", "belong to a transition; a word of XState 4: write 'guard'"),
        (in_a_state(unless="g"), "unless", "belong to a transition; write 'guard': not_(...)"),
        (in_a_state(exec="g"), "exec", "belong to an action; a word of XState 4"),
        ({"on": {"GO": {"invoke": {}}}}, "invoke", "belong to a state; invoke is not supported"),
        ({"on": {"GO": {"delays": {}}}}, "delays", "belong to a state; delays are given beside"),
        ({"on": {"GO": {"types": {}}}}, "types", "belong to a state; types are for TypeScript"),
        ({"on": {"GO": {"services": {}}}}, "services", "belong to a state; a word of XState 4"),
        ({"on": {"GO": {"onEntry": "g"}}}, "onEntry", "belong to a state; a word of XState 3"),
        ({**CHILD, "initial": {"target": "a", "invoke": {}}}, "invoke", "belong to a state;"),
        ({"entry": {"type": "g", "cond": "g"}}, "cond", "belong to a transition; a word of"),
        ({"on": {"GO": {"guard": {"type": "g", "invoke": 1}}}}, "invoke", "belong to a state;"),
        ({"options": {"guards": {}}}, "guards", "guards are given beside the config"),
    ],
)
def test_a_word_of_another_library_in_a_wrong_place_gets_a_hint(
    config: Any, key: str, message: str
) -> None:
    _, text = problem_of(config, **IMPLEMENTATIONS)
    assert text.startswith(f"unknown key {key!r} of ")
    assert message in text
    assert "did you mean" not in text
