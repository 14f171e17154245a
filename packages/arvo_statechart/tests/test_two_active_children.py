"""Two children of one compound state can be active: then the state value decides, as in XState.

A region answers an event by way of the history state beside it. What it leads to is decided twice,
before and after the step has recorded the history: so the states below a parallel state can stay
active while a state beside that parallel state is active, too. The values are those of XState.
"""

import json
from typing import Any

import pytest

from arvo_statechart import Machine, Snapshot, log
from arvo_statechart.typing import XStateVersion


def pings(name: str) -> dict[str, Any]:
    return {"PING": {"actions": log(name)}}


def order(away: dict[str, Any], *, xstate: XStateVersion) -> Machine:
    """Two regions answer BACK: one through a history state, one by leaving for `away`."""
    stock = {"on": {"BACK": "#order.open.last", **pings("stock")}}
    money = {"on": {"BACK": "#order.away", **pings("money")}}
    regions = {"stock": stock, "money": money, "last": {"type": "history"}}
    states: Any = {"open": {"type": "parallel", "states": regions}, "away": away}
    return Machine({"id": "order", "initial": "open", "states": states}, xstate=xstate)


def desk(idle: dict[str, Any]) -> Machine:
    """The only region answers BACK through a history state that has recorded nothing."""
    stock = {"on": {"BACK": "#desk.open.last", **pings("stock")}}
    regions = {"stock": stock, "last": {"type": "history"}}
    opened = {"type": "parallel", "on": {"CLOSE": "idle"}, "states": regions}
    states: Any = {"idle": {**idle, "on": {"OPEN": "open", **pings("idle")}}, "open": opened}
    return Machine({"id": "desk", "initial": "idle", "states": states})


NEAR = {"initial": "near", "states": {"near": {"on": pings("near")}}, "on": {"OPEN": "open"}}


class Driven:
    """A machine that stays in memory or is stored as JSON before every event."""

    def __init__(self, machine: Machine, *, resumed: bool) -> None:
        self._machine = machine
        self._resumed = resumed
        self.snapshot: Snapshot = machine.start().snapshot

    def run(self, event_type: str) -> list[object]:
        """Run an event and return the messages it logged."""
        if self._resumed:
            stored = json.dumps(self._machine.persist(self.snapshot))
            self.snapshot = self._machine.restore(json.loads(stored))
            assert json.dumps(self._machine.persist(self.snapshot)) == stored
        messages: list[object] = []
        result = self._machine.run(self.snapshot, {"type": event_type}, log=messages.append)
        assert result.error is None
        self.snapshot = result.snapshot
        return messages

    @property
    def value(self) -> str:
        """Return the state value with its keys in their order."""
        return json.dumps(self.snapshot.value, separators=(",", ":"))


resumed = pytest.mark.parametrize("resumed", [False, True], ids=["live", "resumed"])


@resumed
def test_a_value_with_several_keys_below_a_compound_state_can_be_restored(resumed: bool) -> None:
    driven = Driven(order(NEAR, xstate="5.24"), resumed=resumed)
    driven.run("BACK")
    assert driven.value == '{"away":"near","open":{"stock":{},"money":{}}}'
    assert driven.run("PING") == ["near", "stock", "money"]
    driven.run("OPEN")
    assert driven.value == '{"open":{"stock":{},"money":{}}}'
    assert driven.run("PING") == ["stock", "money"]


@resumed
def test_a_default_child_beside_two_active_children_is_part_of_the_value(resumed: bool) -> None:
    driven = Driven(desk({"initial": "x", "states": {"x": {}}}), resumed=resumed)
    driven.run("OPEN")
    driven.run("BACK")
    assert driven.value == '{"idle":"x","open":{"stock":{}}}'
    assert driven.run("PING") == ["idle", "stock"]
    driven.run("CLOSE")
    assert driven.value == '{"idle":"x"}'


@resumed
def test_a_state_that_the_value_does_not_show_is_not_asked(resumed: bool) -> None:
    driven = Driven(desk({}), resumed=resumed)
    driven.run("OPEN")
    driven.run("BACK")
    assert driven.value == '"idle"'
    assert driven.run("PING") == ["idle"]
    # Had the parallel state been asked, this would be a transition.
    assert not driven.snapshot.can({"type": "CLOSE"})
    # States that are not shown are not stored.
    active = driven.snapshot.meta, driven.snapshot.matches("open")
    assert active == ({}, False)


@resumed
def test_a_leaf_that_was_entered_first_stands_for_its_parent_alone(resumed: bool) -> None:
    driven = Driven(order({"on": pings("away")}, xstate="5.24"), resumed=resumed)
    driven.run("BACK")
    assert driven.value == '"away"'
    assert driven.run("PING") == ["away"]


def test_a_stored_leaf_whose_key_comes_first_in_javascript_stands_for_its_parent_alone() -> None:
    states: Any = {"late": {"initial": "x", "states": {"x": {}}}, "1": {}}
    machine = Machine({"initial": "late", "states": states})
    stored = {"status": "active", "value": {"late": "x", "1": {}}, "context": {}}
    assert machine.restore(stored).value == "1"


@resumed
def test_in_5_33_the_region_with_the_history_state_wins(resumed: bool) -> None:
    driven = Driven(order(NEAR, xstate="5.33"), resumed=resumed)
    driven.run("BACK")
    assert driven.value == '{"open":{"stock":{},"money":{}}}'
    assert driven.run("PING") == ["stock", "money"]


def test_a_machine_in_which_no_state_is_active_can_be_restored() -> None:
    """XState 5.24: the root leaves itself for a history state that leads nowhere."""
    opened = {"type": "parallel", "states": {"p": {}, "last": {"type": "history"}}}
    states: Any = {"a": {}, "b": opened}
    machine = Machine(
        {
            "id": "m",
            "context": {"n": 1},
            "initial": "a",
            "on": {"GO": {"target": "#m.b.last", "reenter": True}},
            "states": states,
        },
        xstate="5.24",
    )
    left = machine.run(machine.start().snapshot, {"type": "GO"}).snapshot
    stored = machine.persist(left)
    assert (stored["status"], stored["value"], stored["context"]) == ("active", {}, {"n": 1})
    assert machine.restore(stored).value == "a"
