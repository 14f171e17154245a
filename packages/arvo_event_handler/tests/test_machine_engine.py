"""One event through a machine, from stored state to stored state."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from arvo_core import ViolationError
from arvo_event_handler import (
    ArvoMachine,
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    MachineExecution,
    MachineExecutionEngine,
)
from arvo_event_handler._workflow._workflow import WorkflowFailure
from arvo_statechart import Call, assign, emit, enqueue_actions, raise_

from .order_machines import machine

INIT = {"type": "arvo.orc.shop.order", "data": {"items": ["tea"]}}


def execute(
    of: ArvoMachine, event: dict[str, Any] = INIT, state: dict[str, Any] | None = None
) -> MachineExecution:
    return MachineExecutionEngine().execute(of, event=event, state=state)


def enqueue(name: str) -> Any:
    return {"type": "enqueueArvoEvent", "params": {"type": name}}


def test_it_starts_with_the_event_as_input_and_goes_on_from_what_is_stored() -> None:
    made = machine(
        {
            "context": lambda call: {"first": call.input["data"]["items"][0]},
            "initial": "a",
            "states": {"a": {"on": {"x.y.z": "b"}}, "b": {"type": "final"}},
            "output": lambda call: {"total": len(call.context["first"])},
        }
    )
    first = execute(made)
    assert (first.value, first.done, first.emitted) == ("a", False, ())
    assert first.state == {
        "status": "active",
        "value": "a",
        "context": {"first": "tea"},
        "historyValue": {},
        "children": {},
    }
    last = execute(made, {"type": "x.y.z"}, first.state)
    assert (last.value, last.done, last.output) == ("b", True, {"total": 3})
    assert last.state["status"] == "done"


def test_without_output_the_end_has_an_empty_one() -> None:
    end = execute(machine({"initial": "a", "states": {"a": {"type": "final"}}}))
    assert (end.done, end.output) == (True, {})
    assert "output" not in end.state


class TestRequests:
    def test_emitted_events_come_before_enqueued_ones(self) -> None:
        made = machine(
            {
                "entry": [
                    enqueue("one"),
                    emit({"type": "two"}),
                    enqueue("three"),
                    emit({"type": "four"}),
                ]
            }
        )
        assert [event["type"] for event in execute(made).emitted] == ["two", "four", "one", "three"]

    def test_the_queue_leaves_an_empty_member_in_the_context(self) -> None:
        made = machine({"context": {"n": 1}, "entry": enqueue("one")})
        assert execute(made).state["context"] == {"n": 1, "arvo$$": {}}

    def test_the_queue_is_empty_for_the_next_event(self) -> None:
        made = machine({"entry": enqueue("one"), "on": {"x.y.z": {"actions": enqueue("two")}}})
        first = execute(made)
        second = execute(made, {"type": "x.y.z"}, first.state)
        assert [event["type"] for event in second.emitted] == ["two"]
        third = execute(made, {"type": "nothing.to.do"}, second.state)
        assert third.emitted == ()
        assert third.state["context"] == {"arvo$$": {}}

    def test_without_the_queue_the_context_has_no_such_member(self) -> None:
        assert execute(machine({"entry": emit({"type": "one"})})).state["context"] == {}

    def test_params_may_be_computed(self) -> None:
        action: Any = {
            "type": "enqueueArvoEvent",
            "params": lambda call: {"type": "one", "data": {"n": call.context["n"]}},
        }
        made = machine({"context": {"n": 7}, "entry": action})
        assert execute(made).emitted == ({"type": "one", "data": {"n": 7}},)

    @pytest.mark.parametrize("taken", [5, {"volatile$$": 1}, {"mine": {}}], ids=repr)
    def test_the_queues_member_is_reserved(self, taken: Any) -> None:
        made = machine({"context": {"arvo$$": taken}})
        with pytest.raises(ConfigViolation, match=r"'arvo\$\$' is reserved by Arvo"):
            execute(made)

    def test_the_action_refuses_a_misused_queue_member_too(self) -> None:
        made = machine({"context": {"arvo$$": 5}, "entry": enqueue("one")})
        with pytest.raises(ConfigViolation, match=r"'arvo\$\$' is reserved by Arvo"):
            execute(made)


class TestCopies:
    def test_an_action_cannot_change_what_is_stored(self) -> None:
        def spoil(call: Call) -> None:
            call.context["deep"]["n"] = "spoilt"

        made = machine({"context": {"deep": {"n": 1}}, "on": {"x.y.z": {"actions": spoil}}})
        first = execute(made)
        before = deepcopy(first.state)
        execute(made, {"type": "x.y.z"}, first.state)
        assert first.state == before

    def test_the_result_shares_no_object_with_the_machine(self) -> None:
        shared: dict[str, Any] = {"list": []}
        made = machine({"context": {"shared": shared}})
        first = execute(made)
        first.state["context"]["shared"]["list"].append(1)
        assert execute(made).state["context"] == {"shared": {"list": []}}
        assert shared == {"list": []}

    def test_an_event_kept_in_the_context_is_stored_as_it_was_then(self) -> None:
        made = machine({"on": {"x.y.z": {"actions": assign({"last": lambda call: call.event})}}})
        event: dict[str, Any] = {"type": "x.y.z", "data": {"n": [1]}}
        second = execute(made, event, execute(made).state)
        event["data"]["n"].append(2)
        assert second.state["context"]["last"] == {"type": "x.y.z", "data": {"n": [1]}}


class TestStoredState:
    @pytest.mark.parametrize(
        "state",
        [
            {},
            {"status": "who knows"},
            {"status": "active"},
            {"status": "active", "value": "removed", "context": {}},
            {"status": "active", "value": {"a": "b"}, "context": {}},
            {"status": "active", "value": "a", "context": 5},
        ],
        ids=repr,
    )
    def test_an_unreadable_state_waits_for_a_machine_that_can_read_it(
        self, state: dict[str, Any]
    ) -> None:
        made = machine({"initial": "a", "states": {"a": {}}})
        with pytest.raises(ConfigViolation, match="deploy one that can, then deliver again"):
            execute(made, {"type": "x.y.z"}, state)

    @pytest.mark.parametrize(
        "value",
        [float("nan"), {1, 2}, b"x", object(), "\ud800"],
        ids=lambda value: str(type(value)),
    )
    def test_a_state_that_is_not_json_fails_the_workflow(self, value: Any) -> None:
        made = machine({"context": {"deep": [value]}})
        with pytest.raises(WorkflowFailure) as failed:
            execute(made)
        assert "the state of '#/shop/order/1.0.0' cannot be stored" in str(failed.value.error)
        assert "context" in str(failed.value.error)


def raising(error: Exception) -> Any:
    def function(call: Call) -> Any:
        raise error

    return function


PLACES: dict[str, Callable[[Exception], Any]] = {
    "action": lambda error: {"on": {"x.y.z": {"actions": raising(error)}}},
    "assign": lambda error: {"on": {"x.y.z": {"actions": assign(raising(error))}}},
    "guard": lambda error: {"on": {"x.y.z": {"guard": raising(error)}}},
    "raised": lambda error: {
        "on": {
            "x.y.z": {"actions": raise_({"type": "then"})},
            "then": {"actions": raising(error)},
        }
    },
    "output": lambda error: {
        "initial": "a",
        "states": {"a": {"on": {"x.y.z": "b"}}, "b": {"type": "final"}},
        "output": raising(error),
    },
}


class TestErrors:
    @pytest.mark.parametrize("place", PLACES)
    def test_an_exception_fails_the_workflow(self, place: str) -> None:
        made = machine(PLACES[place](LookupError("sold out")))
        first = execute(made)
        with pytest.raises(WorkflowFailure) as failed:
            execute(made, {"type": "x.y.z"}, first.state)
        assert str(failed.value.error).endswith("sold out")

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("kind", [ContractViolation, ExecutionViolation])
    def test_a_violation_escapes(self, place: str, kind: type[ViolationError]) -> None:
        made = machine(PLACES[place](kind("wrong")))
        first = execute(made)
        with pytest.raises(kind, match="wrong"):
            execute(made, {"type": "x.y.z"}, first.state)

    @pytest.mark.parametrize("member", ["entry", "context"])
    def test_a_violation_at_the_start_escapes_too(self, member: str) -> None:
        failing: Any = {member: raising(LookupError("sold out"))}
        with pytest.raises(WorkflowFailure):
            execute(machine(failing))
        violating: Any = {member: raising(ContractViolation("wrong"))}
        with pytest.raises(ContractViolation, match="wrong"):
            execute(machine(violating))

    def test_a_machine_that_never_rests_ends_no_workflow(self) -> None:
        """Nothing was raised in it; one that comes to rest can go on."""
        counting = assign({"n": lambda call: call.context["n"] + 1})
        made = machine({"context": {"n": 0}, "always": {"actions": counting}})
        with pytest.raises(ConfigViolation, match=r"#/shop/order/1\.0\.0.*microsteps"):
            execute(made)

    def test_what_is_no_action_ends_no_workflow(self) -> None:
        made = machine({"entry": enqueue_actions(lambda call: [7])})  # type: ignore[list-item]
        with pytest.raises(ContractViolation, match=r"#/shop/order/1\.0\.0"):
            execute(made)
