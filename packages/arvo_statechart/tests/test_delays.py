"""Timers as a host sees them; what XState does with them is in the vectors."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from arvo_statechart import (
    Call,
    CancelEffect,
    EmitEffect,
    InvalidResultError,
    Machine,
    MachineDefinitionError,
    RunResult,
    ScheduleEffect,
    assign,
    cancel,
    emit,
    enqueue_actions,
    raise_,
)
from arvo_statechart.typing import Action, Delay


def go(performed: Any, **more: Any) -> RunResult:
    """Run one event through a machine that answers it with these actions."""
    machine = Machine({"context": {"ms": 40}, "on": {"GO": {"actions": performed}}}, **more)
    return machine.run(machine.start().snapshot, {"type": "GO", "wait": 7})


def timers(result: RunResult) -> list[tuple[str | None, float]]:
    return [(timer.id, timer.delay) for timer in result.scheduled]


WAITING: Any = {
    "id": "m",
    "initial": "a",
    "states": {
        "a": {"after": {1000: "b", "PATIENCE": "c"}, "on": {"GO": "b"}},
        "b": {"entry": emit({"type": "reminded"})},
        "c": {"type": "final"},
    },
}
PATIENCE = "xstate.after.PATIENCE.m.a"
SECOND = "xstate.after.1000.m.a"


class TestAfter:
    def test_entering_a_state_schedules_its_events(self) -> None:
        result = Machine(WAITING, delays={"PATIENCE": timedelta(hours=2)}).start()
        assert result.scheduled == (
            ScheduleEffect(id=SECOND, event={"type": SECOND}, delay=1000),
            ScheduleEffect(id=PATIENCE, event={"type": PATIENCE}, delay=7_200_000),
        )
        assert result.cancelled == ()

    def test_leaving_it_cancels_them(self) -> None:
        machine = Machine(WAITING, delays={"PATIENCE": 5})
        result = machine.run(machine.start().snapshot, {"type": "GO"})
        assert (result.scheduled, result.cancelled) == ((), (SECOND, PATIENCE))

    def test_the_event_takes_the_transition(self) -> None:
        machine = Machine(WAITING, delays={"PATIENCE": 5})
        result = machine.run(machine.start().snapshot, {"type": SECOND})
        assert result.snapshot.value == "b"
        assert result.emitted == ({"type": "reminded"},)

    def test_a_machine_that_ends_has_no_timers(self) -> None:
        machine = Machine(WAITING, delays={"PATIENCE": 5})
        result = machine.run(machine.start().snapshot, {"type": PATIENCE})
        assert result.done
        assert (result.scheduled, result.cancelled) == ((), ())

    def test_a_machine_that_is_stopped_has_no_timers(self) -> None:
        machine = Machine(WAITING, delays={"PATIENCE": 5})
        result = machine.run(machine.start().snapshot, {"type": "xstate.stop"})
        assert (result.scheduled, result.cancelled) == ((), ())

    def test_coming_back_within_a_step_sets_them_anew(self) -> None:
        machine = Machine(
            {
                "id": "m",
                "initial": "a",
                "states": {"a": {"after": {5: "b"}, "on": {"GO": "b"}}, "b": {"always": "a"}},
            }
        )
        result = machine.run(machine.start().snapshot, {"type": "GO"})
        assert timers(result) == [("xstate.after.5.m.a", 5)]
        assert result.cancelled == ("xstate.after.5.m.a",)

    def test_passing_through_a_state_leaves_no_timer(self) -> None:
        states: Any = {"a": {"on": {"GO": "b"}}, "b": {"after": {5: "a"}, "always": "c"}, "c": {}}
        machine = Machine({"initial": "a", "states": states})
        assert machine.run(machine.start().snapshot, {"type": "GO"}).scheduled == ()

    def test_numbers_come_before_names_in_ascending_order(self) -> None:
        after: Any = {"B": {}, 10: {}, "A": {}, "9": {}, -1: {}, 9.5: {}}
        machine = Machine({"id": "m", "after": after}, delays={"A": 1, "B": 1})
        assert [timer.event["type"] for timer in machine.start().scheduled] == [
            f"xstate.after.{key}.m" for key in ("-1", "9", "9.5", "10", "B", "A")
        ]

    @pytest.mark.parametrize(
        ("key", "text", "delay"),
        [
            (10, "10", 10),
            (10.0, "10", 10),
            ("10", "10", 10),
            ("007", "7", 7),
            ("10.0", "10", 10),
            (0.5, "0.5", 0.5),
            ("-0.50", "-0.5", -0.5),
            (-0.0, "0", 0),
            (1e-5, "0.00001", 1e-5),
            (1.5e-7, "1.5e-7", 1.5e-7),
            (10**17, "100000000000000000", 10**17),
            (1e21, "1e+21", 10**21),
        ],
        ids=repr,
    )
    def test_a_number_is_written_as_in_javascript(
        self, key: str | float, text: str, delay: float
    ) -> None:
        (timer,) = Machine({"id": "m", "after": {key: {}}}).start().scheduled
        assert timer.event == {"type": f"xstate.after.{text}.m"}
        assert timer.delay == delay

    def test_its_transitions_come_behind_those_of_on(self) -> None:
        choose: Any = {SECOND: {"guard": lambda call: call.event.get("first"), "target": "c"}}
        states = {**WAITING["states"], "a": {"on": choose, "after": {1000: "b"}}}
        config: Any = {**WAITING, "states": states}
        machine = Machine(config)
        snapshot = machine.start().snapshot
        assert machine.run(snapshot, {"type": SECOND}).snapshot.value == "b"
        assert machine.run(snapshot, {"type": SECOND, "first": True}).snapshot.value == "c"

    def test_an_empty_list_waits_for_nothing_but_has_a_timer(self) -> None:
        machine = Machine({"after": {5: []}, "on": {"*": {"actions": emit({"type": "seen"})}}})
        (timer,) = machine.start().scheduled
        assert machine.run(machine.start().snapshot, timer.event).emitted == ({"type": "seen"},)


class TestRaise:
    def test_the_event_is_computed_when_it_is_scheduled(self) -> None:
        later = raise_(lambda call: {"type": "L", "wait": call.event["wait"]}, delay=5, id="x")
        result = go([later, assign({"ms": 0})])
        assert result.scheduled == (
            ScheduleEffect(id="x", event={"type": "L", "wait": 7}, delay=5),
        )

    @pytest.mark.parametrize(
        ("delay", "ms"),
        [
            (0, 0),
            (-3, -3),
            (0.25, 0.25),
            (timedelta(days=1, microseconds=500), 86_400_000.5),
            ("NAMED", 12),
            ("COMPUTED", 40),
            (lambda call: call.event["wait"], 7),
            (lambda call: timedelta(seconds=1), 1000),
        ],
    )
    def test_a_delay_is_given_in_several_ways(self, delay: Delay, ms: float) -> None:
        delays: Any = {"NAMED": 12, "COMPUTED": lambda call: call.context["ms"]}
        assert timers(go(raise_({"type": "L"}, delay=delay), delays=delays)) == [(None, ms)]

    def test_a_delay_may_use_the_params_of_the_action(self) -> None:
        actions = {"later": raise_({"type": "L"}, delay="OWN")}
        delays: dict[str, Delay] = {"OWN": lambda call: call.params["ms"]}
        result = go({"type": "later", "params": {"ms": 3}}, actions=actions, delays=delays)
        assert timers(result) == [(None, 3)]

    def test_none_from_a_function_raises_the_event_within_the_step(self) -> None:
        soon = raise_({"type": "L"}, delay=lambda call: None, id="x")
        machine = Machine({"on": {"GO": {"actions": soon}, "L": {"actions": emit({"type": "o"})}}})
        result = machine.run(machine.start().snapshot, {"type": "GO"})
        assert result.emitted == ({"type": "o"},)
        assert (result.scheduled, result.cancelled) == ((), ())

    def test_an_id_that_is_set_again_moves_to_the_end(self) -> None:
        result = go(
            [raise_({"type": "L"}, delay=ms, id=id) for ms, id in [(1, "x"), (2, None)]] * 2
        )
        assert timers(result) == [(None, 2), ("x", 1), (None, 2)]

    @pytest.mark.parametrize("returned", ["50", True, float("nan"), float("inf"), [], object()])
    def test_a_function_must_return_a_finite_number(self, returned: Any) -> None:
        result = go(
            [raise_({"type": "L"}, delay=1), raise_({"type": "L"}, delay="ODD")],
            delays={"ODD": lambda call: returned},
        )
        assert isinstance(result.error, InvalidResultError)
        assert "delay 'ODD': expected the function to return a finite number" in str(result.error)
        assert result.scheduled == ()

    def test_an_unknown_name_that_was_chosen_is_an_error_of_the_step(self) -> None:
        result = go(enqueue_actions(lambda call: [raise_({"type": "L"}, delay="NOBODY")]))
        assert isinstance(result.error, MachineDefinitionError)
        assert "unknown delay 'NOBODY'" in str(result.error)


class TestCancel:
    def test_what_was_set_in_the_step_is_taken_out(self) -> None:
        result = go([raise_({"type": "L"}, delay=1, id="x"), cancel("x")])
        # An older one of that id may be pending.
        assert (result.scheduled, result.cancelled) == ((), ("x",))

    def test_it_may_be_set_again(self) -> None:
        result = go([cancel("x"), cancel("y"), cancel("x"), raise_({"type": "L"}, delay=1, id="x")])
        assert (timers(result), result.cancelled) == ([("x", 1)], ("x", "y"))

    def test_an_id_may_be_computed(self) -> None:
        by_params = {"stop": cancel(lambda call: f"{call.params['name']}-{call.event['wait']}")}
        result = go({"type": "stop", "params": {"name": "x"}}, actions=by_params)
        assert result.cancelled == ("x-7",)

    def test_a_computed_id_must_be_a_string(self) -> None:
        result = go(cancel(lambda call: call.event["wait"]))
        assert isinstance(result.error, InvalidResultError)
        assert "cancel expects the function to return a string, got int" in str(result.error)


class TestEffects:
    def test_timers_are_in_their_places_and_nothing_is_taken_out(self) -> None:
        first: Action = raise_({"type": "L"}, delay=1, id="x")
        machine = Machine({"on": {"GO": {"actions": [first, emit({"type": "o"}), cancel("x")]}}})
        _, effects = machine.transition(machine.start().snapshot, {"type": "GO"})
        assert effects == (
            ScheduleEffect(id="x", event={"type": "L"}, delay=1),
            EmitEffect(event={"type": "o"}),
            CancelEffect(id="x"),
        )

    def test_a_scheduled_event_is_a_copy(self) -> None:
        machine = Machine({"entry": raise_({"type": "L", "items": []}, delay=1)})
        for _ in range(2):
            (timer,) = machine.start().scheduled
            assert timer.event["items"] == []
            timer.event["items"].append(1)

    def test_an_action_that_fails_at_the_start_leaves_no_timers(self) -> None:
        machine = Machine({"entry": [raise_({"type": "L"}, delay=1), lambda call: 1 / 0]})
        result = machine.start()
        assert isinstance(result.error, ZeroDivisionError)
        assert result.scheduled == ()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"after": {10: "b"}}, ("xstate.after.10.m.a",)),
        ({"after": {10: "b", "D": {"target": "b"}}}, ("xstate.after.10.m.a", "xstate.after.D.m.a")),
        ({"after": {10: {"target": "a", "reenter": True}}}, ("xstate.after.10.m.a",)),
        ({"after": {10: [{"guard": "yes", "target": "b"}]}}, ()),
        ({"after": {10: [{"guard": "yes", "target": "b"}, "b"]}}, ()),
        ({"after": {10: {"target": "a"}}}, ()),
        ({"after": {10: {"actions": []}}}, ()),
        ({"after": {10: []}}, ()),
        ({"after": {10: "b"}, "on": {"xstate.after.10.m.a": {"actions": []}}}, ()),
        ({"after": {10: "b"}, "initial": "c", "states": {"c": {"on": {"*": {"actions": []}}}}}, ()),
        ({"after": {10: ".c"}, "initial": "c", "states": {"c": {}}}, ()),
    ],
    ids=["target", "name", "reenter", "guard", "guards", "itself", "actions", "empty", "on", "child",
         "into itself"],
)  # fmt: skip
def test_timers_that_are_certain_to_leave_their_state_are_expected(
    state: Any, expected: tuple[str, ...]
) -> None:
    config: Any = {"id": "m", "initial": "a", "states": {"a": state, "b": {}}}
    if state["after"].get(10) == [{"guard": "yes", "target": "b"}, "b"]:
        state["after"][10][1] = {"target": "b"}
    machine = Machine(config, delays={"D": 5}, guards={"yes": lambda call: True})
    snapshot = machine.start().snapshot
    assert snapshot.expected_timers == expected
    assert machine.run(snapshot, {"type": "xstate.after.10.m.a"}).snapshot.expected_timers in (
        (),
        expected,
    )


def test_provide_replaces_delays() -> None:
    machine = Machine(WAITING, delays={"PATIENCE": 1})
    other = machine.provide(delays={"PATIENCE": 2})
    assert timers(machine.start())[1] == (PATIENCE, 1)
    assert timers(other.start())[1] == (PATIENCE, 2)
    assert timers(other.provide().start())[1] == (PATIENCE, 2)


def test_a_delay_of_a_function_sees_the_event_that_entered_the_state() -> None:
    def choose(call: Call) -> Iterator[Action]:
        yield assign({"factor": 3})

    machine = Machine(
        {
            "id": "m",
            "initial": "a",
            "states": {
                "a": {"on": {"GO": "b"}},
                "b": {"entry": enqueue_actions(choose), "after": {"D": "a"}},
            },
        },
        delays={"D": lambda call: call.context["factor"] * call.event["wait"]},
    )
    result = machine.run(machine.start().snapshot, {"type": "GO", "wait": 5})
    assert timers(result) == [("xstate.after.D.m.b", 15)]
