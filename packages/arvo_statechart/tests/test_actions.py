from collections.abc import Iterator
from typing import Any

import pytest

from arvo_statechart import (
    Call,
    InvalidResultError,
    Machine,
    MachineDefinitionError,
    RunResult,
    assign,
    emit,
    enqueue_actions,
    log,
    raise_,
    state_in,
)
from arvo_statechart.typing import Action


def go(
    performed: Any, /, *, event: dict[str, Any] | None = None, **implementations: Any
) -> RunResult:
    """Run one event through a machine that answers it with these actions."""
    machine = Machine(
        {"context": {"n": 0, "items": []}, "on": {"GO": {"actions": performed}}}, **implementations
    )
    return machine.run(machine.start().snapshot, {"type": "GO", **(event or {})})


class TestAssign:
    def test_changes_the_keys_it_names(self) -> None:
        increase = assign({"n": lambda call: call.context["n"] + call.event["by"], "last": "GO"})
        result = go(increase, event={"by": 2})
        assert result.snapshot.context == {"n": 2, "items": [], "last": "GO"}

    def test_may_be_one_function(self) -> None:
        result = go(assign(lambda call: {"n": 5}))
        assert result.snapshot.context == {"n": 5, "items": []}

    def test_values_of_the_config_are_not_shared(self) -> None:
        machine = Machine({"on": {"GO": {"actions": assign({"items": []})}}})
        first = machine.run(machine.start().snapshot, {"type": "GO"}).snapshot
        first.context["items"].append(1)
        second = machine.run(machine.start().snapshot, {"type": "GO"}).snapshot
        assert second.context == {"items": []}

    def test_takes_params(self) -> None:
        increase = assign({"n": lambda call: call.context["n"] + call.params["by"]})
        result = go({"type": "increase", "params": {"by": 3}}, actions={"increase": increase})
        assert result.snapshot.context["n"] == 3

    @pytest.mark.parametrize("returned", [None, 3, [("n", 1)]])
    def test_returns_a_mapping(self, returned: Any) -> None:
        error = go(assign(lambda call: returned)).error
        assert isinstance(error, InvalidResultError)
        assert f"got {type(returned).__name__}" in str(error)


class TestParams:
    def test_may_be_computed_in_their_place(self) -> None:
        seen: list[Any] = []
        computed = {"type": "note", "params": lambda call: {"n": call.context["n"]}}
        go(
            [computed, assign({"n": 1}), computed],
            actions={"note": lambda call: seen.append(call.params)},
        )
        assert seen == [{"n": 0}, {"n": 1}]

    def test_are_empty_without_any(self) -> None:
        seen: list[Any] = []
        go(
            ["note", {"type": "note", "params": None}],
            actions={"note": lambda call: seen.append(dict(call.params))},
        )
        assert seen == [{}, {}]


class TestEmit:
    def test_events_come_out_in_order(self) -> None:
        result = go(
            [
                emit({"type": "a"}),
                assign({"n": 1}),
                emit(lambda call: {"type": "b", "n": call.context["n"]}),
            ]
        )
        assert result.emitted == ({"type": "a"}, {"type": "b", "n": 1})

    def test_what_is_emitted_is_an_event(self) -> None:
        error = go(emit(lambda call: {"n": 1})).error
        assert isinstance(error, InvalidResultError)
        assert "emit" in str(error)

    def test_events_of_the_config_are_not_shared(self) -> None:
        event: Any = {"type": "a", "items": []}
        machine = Machine({"entry": emit(event)})
        machine.start().emitted[0]["items"].append(1)
        assert machine.start().emitted == ({"type": "a", "items": []},)


class TestRaise:
    def test_events_are_processed_after_the_microstep(self) -> None:
        machine = Machine(
            {
                "initial": "a",
                "states": {
                    "a": {"on": {"GO": {"target": "b", "actions": raise_({"type": "NEXT"})}}},
                    "b": {"on": {"NEXT": {"target": "c", "actions": "note"}}},
                    "c": {"type": "final"},
                },
            },
            actions={"note": lambda call: None},
        )
        assert machine.run(machine.start().snapshot, {"type": "GO"}).done

    def test_what_is_raised_is_an_event(self) -> None:
        error = go(raise_(lambda call: {"type": None})).error
        assert isinstance(error, InvalidResultError)
        assert "raise_" in str(error)


def test_log_computes_its_message_in_its_place() -> None:
    messages: list[object] = []
    machine = Machine(
        {
            "context": {"n": 0},
            "entry": [log(lambda call: call.context["n"]), assign({"n": 1}), log("end")],
        }
    )
    machine.start(log=messages.append)
    assert messages == [0, "end"]


def test_log_without_arguments_writes_context_and_event() -> None:
    messages: list[object] = []
    machine = Machine({"context": {"n": 1}, "entry": [log(), assign({"n": 2}), log()]})
    machine.start("in", log=messages.append)
    event = {"type": "xstate.init", "input": "in"}
    assert messages == [{"context": {"n": n}, "event": event} for n in (1, 2)]


class TestEnqueueActions:
    def test_runs_what_the_function_yields(self) -> None:
        def choose(call: Call) -> Iterator[Action]:
            yield assign({"n": 1})
            yield {"type": "note", "params": {"text": "x"}}
            if call.check("is_start"):
                yield "note"
            if call.check(state_in("#m")):
                yield emit({"type": "seen"})

        seen: list[Any] = []
        machine = Machine(
            {
                "id": "m",
                "context": {"n": 0},
                "on": {"GO": {"actions": [enqueue_actions(choose), "note"]}},
            },
            actions={
                "note": lambda call: seen.append((call.context["n"], call.params.get("text")))
            },
            guards={"is_start": lambda call: call.context["n"] == 0},
        )
        result = machine.run(machine.start().snapshot, {"type": "GO"})
        assert seen == [(1, "x"), (1, None), (1, None)]
        assert result.emitted == ({"type": "seen"},)

    @pytest.mark.parametrize("chosen", [None, []])
    def test_may_run_nothing(self, chosen: Any) -> None:
        result = go(enqueue_actions(lambda call: chosen))
        assert result.snapshot.status == "active"

    def test_params_of_the_action_are_not_those_of_a_guard(self) -> None:
        choose = enqueue_actions(lambda call: [assign({"n": 9})] if call.check("bare") else [])
        result = go(
            {"type": "choose", "params": {"a": 1}},
            actions={"choose": choose},
            guards={"bare": lambda call: not call.params},
        )
        assert result.snapshot.context["n"] == 9

    @pytest.mark.parametrize("unknown", ["nothing", {"type": "nothing"}, 3, {"no": "type"}])
    def test_an_unknown_action_fails(self, unknown: Any) -> None:
        error = go(enqueue_actions(lambda call: [unknown])).error
        assert isinstance(error, MachineDefinitionError)

    def test_an_unknown_guard_fails(self) -> None:
        error = go(enqueue_actions(lambda call: [] if call.check("nothing") else None)).error
        assert isinstance(error, MachineDefinitionError)
        assert "nothing" in str(error)


def test_a_host_can_define_an_action_that_assigns_and_collects() -> None:
    def request(call: Call) -> Iterator[Action]:
        yield assign({"requests": call.context["requests"] + 1})
        yield emit({"type": "request", "what": dict(call.params)})

    machine = Machine(
        {
            "context": {"requests": 0},
            "entry": ["request", emit({"type": "started"})],
            "on": {
                "GO": {
                    "actions": {
                        "type": "request",
                        "params": lambda call: {"number": call.context["requests"]},
                    }
                }
            },
        },
        actions={"request": enqueue_actions(request)},
    )
    started = machine.start()
    assert [event["type"] for event in started.emitted] == ["request", "started"]
    went = machine.run(started.snapshot, {"type": "GO"})
    assert went.emitted == ({"type": "request", "what": {"number": 1}},)
    assert went.snapshot.context == {"requests": 2}
