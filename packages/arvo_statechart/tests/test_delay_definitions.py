"""Wrong delays are refused with their place."""

from datetime import timedelta
from typing import Any, cast

import pytest

from arvo_statechart import (
    Call,
    Machine,
    MachineDefinitionError,
    cancel,
    emit,
    raise_,
    to_dot,
    to_mermaid,
)
from arvo_statechart.typing import MachineConfig


async def asynchronous(call: Call) -> float:
    return 1


def problem_of(config: Any, **more: Any) -> tuple[str, str]:
    with pytest.raises(MachineDefinitionError) as refused:
        Machine(cast(MachineConfig, config), **more)
    (problem,) = refused.value.problems
    return problem.location, problem.message


def state(**config: Any) -> dict[str, Any]:
    return {"initial": "a", "states": {"a": config}}


DELAYS: Any = {"PATIENCE": 5, "SOON": lambda call: 1}
EVENT: Any = {"type": "L"}


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        (state(after=5), "states.a.after", "expected a mapping, got 5"),
        (state(after=["b"]), "states.a.after", "expected a mapping"),
        (state(after={"PATENCE": "a"}), "states.a.after.PATENCE", "did you mean 'PATIENCE'?"),
        (state(after={"1e1": "a"}), "states.a.after['1e1']", "a number of ms is written like '10'"),
        (state(after={"+5": "a"}), "states.a.after['+5']", "unknown delay '+5'"),
        (state(after={" 5 ": "a"}), "states.a.after[' 5 ']", "unknown delay ' 5 '"),
        (state(after={"": "a"}), "states.a.after['']", "unknown delay ''"),
        (state(after={"٣": "a"}), "states.a.after['٣']", "unknown delay"),
        (state(after={True: "a"}), "states.a.after[True]", "expected a number of ms or the name"),
        (state(after={(1, 2): "a"}), "states.a.after['(1, 2)']", "expected a number of ms"),
        (state(after={float("nan"): "a"}), "states.a.after.nan", "expected a finite number"),
        (state(after={10**400: "a"}), "states.a.after", "expected a finite number"),
        (state(after={"9" * 400: "a"}), "states.a.after", "expected a finite number"),
        (state(after={10: "a", "10.0": "a"}), "states.a.after['10.0']", "under another key, too"),
        (state(after={"07": "a", 7: "a"}), "states.a.after[7]", "7 ms are there under another key"),
        (state(after={5: [{}, "a"]}), "states.a.after[5][1]", "write {'target': 'a'}"),
        (state(after={5: "nowhere"}), "states.a.after[5].target", "unknown state 'nowhere'"),
        (state(after={0.5: {"guard": "nobody"}}), "states.a.after['0.5'].guard", "unknown guard"),
        (state(after={5: None}), "states.a.after[5]", "expected a mapping, got None"),
        (state(after={5: {"cond": "x"}}), "states.a.after[5].cond", "write 'guard'"),
        (
            {"type": "parallel", "states": {"a": {}, "h": {"type": "history", "after": {}}}},
            "states.h.after",
            "has no effect: a history state is never active itself",
        ),
        ({"delays": {}}, "delays", "beside the config: Machine(config, delays={...})"),
        (state(delays={}), "states.a.delays", "beside the config: Machine(config, delays={...})"),
        (state(timeout=5), "states.a.timeout", "write 'after'"),
        ({"on": {"GO": {"delay": 5}}}, "on.GO.delay", "the key of its transitions in the 'after'"),
        ({"on": {"GO": {"after": {}}}}, "on.GO.after", "write 'actions'"),
        ({"entry": raise_(EVENT, delay="PATENCE")}, "entry", "did you mean 'PATIENCE'?"),
        ({"entry": raise_(EVENT, delay="10")}, "entry", "a number of ms is written without quotes"),
        ({"entry": [raise_(EVENT, delay=float("inf"))]}, "entry[0]", "expected a finite number"),
        ({"entry": raise_(EVENT, delay=cast(Any, [5]))}, "entry", "delay: expected a finite"),
        ({"exit": raise_(EVENT, delay=True)}, "exit", "got True"),
        ({"exit": raise_(EVENT, delay=cast(Any, asynchronous))}, "exit", "async function"),
        ({"exit": raise_(EVENT, delay=1, id=cast(Any, 5))}, "exit", "expects a string as id"),
        ({"exit": raise_(cast(Any, "L"), delay=1)}, "exit", "write raise_({'type': 'L'})"),
        ({"exit": cancel(cast(Any, None))}, "exit", "cancel expects the id of a timer"),
        ({"exit": cancel(cast(Any, asynchronous))}, "exit", "async function"),
    ],
)
def test_a_wrong_delay_is_refused(config: Any, location: str, message: str) -> None:
    found, text = problem_of(config, delays=DELAYS)
    assert found.startswith(location)
    assert message in text


@pytest.mark.parametrize("delay", [None, "5", float("nan"), float("-inf"), True, 10**400, {}])
def test_a_named_delay_must_be_one_even_if_nothing_uses_it(delay: Any) -> None:
    location, message = problem_of({}, delays={"PATIENCE": delay})
    assert location == "(root)"
    assert message.startswith("delay 'PATIENCE': expected a finite number of ms")


def test_a_named_delay_must_not_be_async() -> None:
    _, message = problem_of({}, delays={"PATIENCE": asynchronous})
    assert message.startswith("delay 'PATIENCE': 'asynchronous' is an async function")


@pytest.mark.parametrize("delays", [5, ["PATIENCE"], {5: 1}])
def test_delays_are_a_mapping_by_name(delays: Any) -> None:
    with pytest.raises(MachineDefinitionError):
        Machine({}, delays=delays)


@pytest.mark.parametrize(
    ("action", "used"),
    [
        (raise_(EVENT, delay="PATIENCE"), False),
        (raise_(EVENT, delay=5), False),
        (cancel("x"), False),
        (raise_(EVENT, delay="SOON"), True),
        (raise_(EVENT, delay=lambda call: 1), True),
        (cancel(lambda call: "x"), True),
    ],
)
def test_params_that_nothing_uses_are_refused(action: Any, used: bool) -> None:
    config: Any = {"entry": {"type": "named", "params": {"n": 1}}}
    if used:
        Machine(config, actions={"named": action}, delays=DELAYS)
    else:
        location, message = problem_of(config, actions={"named": action}, delays=DELAYS)
        assert location == "entry"
        assert "does not use its params" in message


WAITING: Any = {
    "id": "m",
    "initial": "a",
    "states": {
        "a": {
            "after": {
                1000: {"target": "b", "guard": "late"},
                "PATIENCE": {"actions": cancel("x")},
                "0.5": "b",
            },
            "exit": [raise_({"type": "GO"}, delay="SOON"), raise_({"type": "GO"}, delay=20)],
        },
        "b": {"on": {"GO": "a"}},
    },
}


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("config", "location"),
    [
        ({"initial": "a", "states": {"a": {"after": {86_400_001: "a"}}}}, "states.a.after"),
        ({"initial": "a", "states": {"a": {"after": {"LONG": "a"}}}}, "states.a.after.LONG"),
        ({"entry": raise_({"type": "A"}, delay=2 * DAY)}, "entry"),
        ({"on": {"A": {"actions": [raise_({"type": "A"}, delay="LONG")]}}}, "on.A.actions"),
    ],
    ids=["number", "name", "raise", "raise by name"],
)
def test_a_constant_above_the_longest_is_refused_with_its_place(config: Any, location: str) -> None:
    with pytest.raises(MachineDefinitionError) as caught:
        Machine(config, delays={"LONG": 2 * DAY}, longest_delay=DAY)
    problem = caught.value.problems[0]
    assert problem.location.startswith(location)
    assert problem.message.endswith("ms are too long; the limit is 1 day, 0:00:00")


def test_the_longest_holds_for_provided_delays_and_not_for_functions() -> None:
    config: Any = {"after": {"LONG": {"actions": []}}}
    machine = Machine(config, delays={"LONG": DAY}, longest_delay=DAY)
    with pytest.raises(MachineDefinitionError, match="the limit is 1 day"):
        machine.provide(delays={"LONG": 2 * DAY})
    assert machine.provide(delays={"LONG": lambda call: 2 * DAY}).start().scheduled


def test_the_longest_is_a_timedelta() -> None:
    with pytest.raises(MachineDefinitionError, match="longest_delay: expected a timedelta, got 5"):
        Machine({}, longest_delay=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("draw", [to_mermaid, to_dot])
def test_diagrams_show_delays(draw: Any) -> None:
    text = draw(Machine(WAITING, guards={"late": lambda call: True}, delays=DELAYS))
    for shown in (
        "after 0.5 ms",
        "after 1000 ms",
        "after PATIENCE / cancel(x)",
        "exit / raise(GO after SOON), raise(GO after 20 ms)",
    ):
        assert shown in text
    assert "xstate.after" not in text
    assert "entry /" not in text


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        (
            {"initial": "a", "states": {"a": {"type": "final", "after": {1: "a"}}}},
            "states.a.after",
            "leads out of a final state",
        ),
        ({"after": {1: {"actions": raise_({"type": "X"})}}}, "after[1].actions", "no state takes"),
        (
            {"entry": raise_({"type": "X"}, id="x"), "on": {"X": {}}},
            "entry",
            "has no effect without a delay",
        ),
        (
            {"after": {"PATIENCE": {"guard": lambda call: False}}, "on": {"*": {}}},
            "after.PATIENCE",
            "before 5.32.2",
        ),
    ],
)
def test_a_probable_mistake_is_a_warning(config: Any, location: str, message: str) -> None:
    if "5.32" in message:
        config["on"] = {"*": {"actions": emit({"type": "o"})}}
    problems = Machine(config, delays=DELAYS).warnings
    assert [problem.location for problem in problems] == [location]
    assert message in problems[0].message


@pytest.mark.parametrize(
    "on",
    [
        "xstate.after.*",
        "xstate.after.10.*",
        "xstate.after.10.m",
        "xstate.*",
    ],
)
def test_waiting_for_the_event_of_a_delay_is_no_warning(on: str) -> None:
    config: Any = {"id": "m", "after": {10: {}}, "on": {on: {"actions": emit({"type": "o"})}}}
    assert Machine(config, events=[]).warnings == ()
