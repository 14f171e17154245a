from typing import Any, cast

import pytest

from arvo_statechart import Call, GuardError, InvalidEventError, Machine, Snapshot
from arvo_statechart.typing import MachineConfig

ORDER: MachineConfig = {
    "id": "order",
    "tags": "order",
    "initial": "open",
    "states": {
        "open": {
            "type": "parallel",
            "meta": {"title": "Open"},
            "states": {
                "stock": {
                    "initial": "asked",
                    "states": {
                        "asked": {"tags": ["waiting", "stock"], "on": {"HELD": "held"}},
                        "held": {"meta": None},
                    },
                },
                "payment": {"tags": "waiting", "on": {"IGNORED": {}, "NOTED": {"actions": "note"}}},
            },
        },
        "shut.down": {},
    },
}


@pytest.fixture
def snapshot() -> Snapshot:
    return Machine(ORDER, actions={"note": lambda call: None}).start().snapshot


def test_value_is_a_copy(snapshot: Snapshot) -> None:
    assert snapshot.value == {"open": {"stock": "asked", "payment": {}}}
    cast(dict[str, Any], snapshot.value)["open"]["stock"] = "changed"
    assert snapshot.value == {"open": {"stock": "asked", "payment": {}}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("open", True),
        ("open.stock", True),
        ("open.stock.asked", True),
        ("open.stock.held", False),
        ("stock", False),
        ({"open": "payment"}, True),
        ({"open": {"stock": "asked", "payment": {}}}, True),
        ({"open": {"stock": "asked"}}, True),
        ({"open": {"stock": {"asked": {}}}}, False),
        ({}, True),
        ("shut\\.down", False),
    ],
)
def test_matches_checks_all_states_that_are_named(
    snapshot: Snapshot, value: Any, expected: bool
) -> None:
    assert snapshot.matches(value) is expected


def test_a_backslash_keeps_a_dot_in_a_key() -> None:
    machine = Machine({**ORDER, "initial": "shut.down"}, actions={"note": print})
    snapshot = machine.start().snapshot
    assert snapshot.matches("shut\\.down")
    assert not snapshot.matches("shut.down")


def test_tags_are_those_of_all_active_states(snapshot: Snapshot) -> None:
    assert snapshot.tags == {"order", "waiting", "stock"}
    assert snapshot.has_tag("stock")
    assert not snapshot.has_tag("held")


def test_meta_is_that_of_active_states_that_have_one() -> None:
    machine = Machine(ORDER, actions={"note": print})
    snapshot = machine.start().snapshot
    assert snapshot.meta == {"order.open": {"title": "Open"}}
    held = machine.run(snapshot, {"type": "HELD"}).snapshot
    assert held.meta == {"order.open": {"title": "Open"}, "order.open.stock.held": None}


class TestCan:
    @pytest.mark.parametrize(
        ("event_type", "expected"),
        [("HELD", True), ("NOTED", True), ("IGNORED", False), ("UNKNOWN", False)],
    )
    def test_is_true_if_a_transition_would_be_taken(
        self, snapshot: Snapshot, event_type: str, expected: bool
    ) -> None:
        assert snapshot.can({"type": event_type}) is expected

    def test_a_guard_may_fail(self) -> None:
        machine = Machine({"on": {"GO": {"guard": lambda call: call.event["missing"]}}})
        with pytest.raises(GuardError, match="'missing'"):
            machine.start().snapshot.can({"type": "GO"})

    def test_refuses_what_is_not_an_event(self, snapshot: Snapshot) -> None:
        with pytest.raises(InvalidEventError):
            snapshot.can(cast(Any, "HELD"))


def test_repr_shows_the_state_value(snapshot: Snapshot) -> None:
    assert repr(snapshot) == ("<Snapshot active {'open': {'stock': 'asked', 'payment': {}}} {}>")


def test_keys_that_look_like_numbers_come_first() -> None:
    keys = ["b", "10", "01", "2", "4294967295", "0"]
    machine = Machine({"type": "parallel", "states": {key: {} for key in keys}})
    value = cast(dict[str, Any], machine.start().snapshot.value)
    assert list(value) == ["0", "2", "10", "b", "01", "4294967295"]


def test_repr_works_for_values_without_a_repr() -> None:
    # Python refuses to write integers of so many digits.
    snapshot = Machine({"context": {"n": 10**5_000}}).start().snapshot
    assert repr(snapshot).startswith("<Snapshot active {} ")


def test_machines_snapshots_and_calls_have_no_other_public_attributes(snapshot: Snapshot) -> None:
    call = Call(context={}, event={"type": "GO"})
    shown = [
        {name for name in dir(value) if not name.startswith("_")}
        for value in (Machine(ORDER, actions={"note": lambda call: None}), snapshot, call)
    ]
    assert shown == [
        {"id", "initial_transition", "persist", "provide", "resolve", "restore", "run", "start"}
        | {"transition", "version", "warnings"},
        {"can", "context", "error", "has_tag", "matches", "meta", "output", "status", "tags"}
        | {"expected_timers", "value"},
        {"check", "context", "event", "input", "matches", "params"},
    ]
