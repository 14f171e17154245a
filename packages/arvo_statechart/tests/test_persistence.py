import json
from typing import Any, cast

import pytest

from arvo_statechart import InvalidSnapshotError, Machine
from arvo_statechart.typing import MachineConfig, StateValue

ORDER: MachineConfig = {
    "id": "order",
    "initial": "open",
    "context": {"n": 0},
    "states": {
        "open": {
            "type": "parallel",
            "on": {"PAUSE": "paused"},
            "states": {
                "stock": {
                    "initial": "asked",
                    "states": {"asked": {"on": {"HELD": "held"}}, "held": {"type": "final"}},
                },
                "payment": {"initial": "asked", "states": {"asked": {}, "paid": {}}},
                "last": {"type": "history", "history": "deep", "target": ["stock.asked"]},
            },
        },
        "paused": {"on": {"RESUME": "open.last", "END": "end"}},
        "end": {"type": "final"},
        "before": {"type": "history"},
    },
}


@pytest.fixture
def order() -> Machine:
    return Machine(ORDER)


def test_a_snapshot_is_stored_as_xstate_does(order: Machine) -> None:
    snapshot = order.run(order.start().snapshot, {"type": "HELD"}).snapshot
    snapshot = order.run(snapshot, {"type": "PAUSE"}).snapshot
    assert order.persist(snapshot) == {
        "status": "active",
        "value": "paused",
        "context": {"n": 0},
        "historyValue": {
            # In the order in which they were entered.
            "order.open.last": [{"id": "order.open.payment.asked"}, {"id": "order.open.stock.held"}]
        },
        "children": {},
    }


def test_history_is_stored_and_restored(order: Machine) -> None:
    snapshot = order.run(order.start().snapshot, {"type": "HELD"}).snapshot
    snapshot = order.run(snapshot, {"type": "PAUSE"}).snapshot
    restored = order.restore(json.loads(json.dumps(order.persist(snapshot))))
    resumed = order.run(restored, {"type": "RESUME"}).snapshot
    assert resumed.value == {"open": {"stock": "held", "payment": "asked"}}


def test_output_and_error_are_stored_if_they_are_set() -> None:
    machine = Machine({"type": "final", "output": lambda call: None})
    stored = machine.persist(machine.start().snapshot)
    assert (stored["status"], stored["output"]) == ("done", None)
    assert "error" not in stored
    restored = machine.restore(stored)
    assert machine.persist(restored) == stored
    assert (restored.output, restored.error) == (None, None)


def test_an_exception_is_stored_by_name_and_message() -> None:
    machine = Machine({"on": {"GO": {"actions": lambda call: call.context["missing"]}}})
    failed = machine.run(machine.start().snapshot, {"type": "GO"}).snapshot
    stored = machine.persist(failed)
    assert stored["error"] == {"name": "KeyError", "message": "'missing'"}
    assert machine.restore(stored).error == stored["error"]


def test_a_machine_that_failed_at_its_start_in_xstate_5_24_restores() -> None:
    machine = Machine(
        {"context": lambda call: cast(Any, 1 / 0), "initial": "a", "states": {"a": {}}},
        xstate="5.24",
    )
    stored = machine.persist(machine.start().snapshot)
    restored = machine.restore(stored)
    assert (restored.status, restored.value, restored.context) == ("error", {}, {})
    assert machine.persist(restored) == stored


@pytest.mark.parametrize(
    ("value", "restored"),
    [
        ("open", {"open": {"stock": "asked", "payment": "asked"}}),
        ({"open": {}}, {"open": {"stock": "asked", "payment": "asked"}}),
        ({"open": {"payment": "paid"}}, {"open": {"payment": "paid", "stock": "asked"}}),
        ({"open": "payment"}, {"open": {"payment": "asked", "stock": "asked"}}),
        ({}, {"open": {"stock": "asked", "payment": "asked"}}),
        ("paused", "paused"),
    ],
)
def test_states_that_a_value_leaves_out_are_entered_by_default(
    order: Machine, value: StateValue, restored: StateValue
) -> None:
    snapshot = order.restore({"status": "active", "value": value, "context": {}})
    assert json.dumps(snapshot.value) == json.dumps(restored)


def test_defaults_may_go_through_history_states() -> None:
    machine = Machine(
        {
            "initial": "a",
            "states": {
                "a": {
                    "initial": "h",
                    "states": {"h": {"type": "history", "target": "y"}, "x": {}, "y": {}},
                }
            },
        }
    )
    assert machine.start().snapshot.value == {"a": "y"}
    assert machine.restore({"status": "active", "value": "a"}).value == {"a": "y"}


@pytest.mark.parametrize(
    "history",
    [
        {"order.nowhere": [{"id": "order.paused"}]},
        {"order.open.last": [{"id": "order.nowhere"}]},
        {"order.open.last": [{"id": "order.paused"}]},
        {"order.open.last": [{"id": 3}, {}, "order.open.stock"]},
        {"order.open.last": "order.open.stock"},
        {"order": [{"id": "order.paused"}]},
        {"order.paused": [{"id": "order.open"}]},
        {},
        None,
    ],
)
def test_unknown_states_in_the_history_are_dropped(order: Machine, history: Any) -> None:
    stored = {"status": "active", "value": "paused", "context": {}, "historyValue": history}
    assert order.persist(order.restore(stored))["historyValue"] == {}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([], "must be a mapping"),
        ({}, "status of a stored snapshot"),
        ({"status": "running", "value": "open"}, "'running'"),
        ({"status": "active"}, "must have a 'value'"),
        ({"status": "active", "value": "opn"}, "unknown state 'opn': did you mean 'open'?"),
        ({"status": "active", "value": {"open": {"stock": "x"}}}, "below 'order.open.stock'"),
        ({"status": "active", "value": {"open": {"last": {}}}}, "unknown state 'last'"),
        ({"status": "active", "value": "before"}, "unknown state 'before'"),
        ({"status": "active", "value": {"paused": "x"}}, "there is none"),
        ({"status": "active", "value": {"open": [1]}}, "for 'order.open', got list"),
        ({"status": "active", "value": None}, "for 'order', got None"),
        ({"status": "active", "value": {1: {}}}, "unknown state '1'"),
        ({"status": "active", "value": "open", "context": []}, "context"),
        ({"status": "active", "value": "open", "historyValue": [1]}, "historyValue"),
    ],
)
def test_a_stored_snapshot_that_does_not_fit_is_refused(
    order: Machine, stored: Any, message: str
) -> None:
    with pytest.raises(InvalidSnapshotError) as refused:
        order.restore(stored)
    assert message in str(refused.value)


class TestResolve:
    def test_returns_the_snapshot_of_any_state(self, order: Machine) -> None:
        snapshot = order.resolve({"open": {"stock": "held"}}, context={"n": 5})
        assert snapshot.value == {"open": {"stock": "held", "payment": "asked"}}
        assert (snapshot.status, snapshot.context) == ("active", {"n": 5})

    def test_recognises_the_end(self, order: Machine) -> None:
        assert order.resolve("end").status == "done"

    def test_refuses_unknown_states(self, order: Machine) -> None:
        with pytest.raises(InvalidSnapshotError):
            order.resolve("nowhere")


@pytest.mark.parametrize(
    "stored",
    [
        "4242-4242-4242-4242",
        {"status": "active", "value": "open", "context": "4242-4242-4242-4242"},
        {"status": "active", "value": "open", "context": ["4242-4242-4242-4242"]},
        {"status": "active", "value": ["4242-4242-4242-4242"], "context": {}},
        {"status": "active", "value": {"open": ["4242-4242-4242-4242"]}, "context": {}},
        {"status": "active", "value": "open", "historyValue": "4242-4242-4242-4242"},
        {"status": ["4242-4242-4242-4242"], "value": "open"},
    ],
)
def test_refusing_a_stored_snapshot_shows_no_data(stored: Any) -> None:
    machine = Machine({"initial": "open", "states": {"open": {}}})
    with pytest.raises(InvalidSnapshotError) as refused:
        machine.restore(stored)
    assert "4242" not in str(refused.value)
