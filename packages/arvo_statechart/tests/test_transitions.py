"""Which states a transition leaves and enters, especially where XState differs from SCXML."""

from typing import Any

import pytest

from arvo_statechart import Machine, log


def trace(config: Any, *event_types: str) -> list[object]:
    """Return what is entered and left on the last event, as `+key` and `-key`."""

    def traced(key: str, state: dict[str, Any]) -> dict[str, Any]:
        below = {name: traced(name, child) for name, child in state.get("states", {}).items()}
        if state.get("type") == "history":
            return state
        return {**state, "states": below, "entry": log(f"+{key}"), "exit": log(f"-{key}")}

    machine = Machine(traced("m", {"id": "m", **config}))  # type: ignore[arg-type]  # checked by it
    messages: list[object] = []
    snapshot = machine.start(log=messages.append).snapshot
    for event_type in event_types:
        messages.clear()
        snapshot = machine.run(snapshot, {"type": event_type}, log=messages.append).snapshot
    return messages


NESTED: dict[str, Any] = {
    "initial": "a",
    "states": {
        "a": {"initial": "x", "states": {"x": {}, "y.z": {"states": {}}}},
        "b": {},
    },
}


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        pytest.param({"target": "#m"}, ["-x", "-a", "+a", "+x"], id="root"),
        pytest.param(
            {"target": "#m", "reenter": True},
            ["-x", "-a", "-m", "+m", "+a", "+x"],
            id="root-reenter",
        ),
        pytest.param({"target": ".b"}, ["-x", "-a", "+b"], id="child-of-the-root"),
        pytest.param(
            {"target": ".b", "reenter": True}, ["-x", "-a", "-m", "+m", "+b"], id="child-reenter"
        ),
        pytest.param({"target": r".a.y\.z"}, ["-x", "-a", "+a", "+y.z"], id="key-with-a-dot"),
        pytest.param({"reenter": True}, [], id="targetless-reenter-leaves-nothing"),
        pytest.param({}, [], id="forbidden"),
    ],
)
def test_a_transition_of_the_root_leaves_and_enters_states(
    transition: Any, expected: list[str]
) -> None:
    assert trace({**NESTED, "on": {"GO": transition}}, "GO") == expected


def test_a_transition_from_below_to_the_root_leaves_and_enters_the_root() -> None:
    config = {"initial": "a", "states": {"a": {"on": {"GO": {"target": "#m", "reenter": True}}}}}
    assert trace(config, "GO") == ["-a", "-m", "+m", "+a"]


def test_a_region_that_reenters_itself_takes_all_regions_with_it() -> None:
    config = {
        "type": "parallel",
        "states": {"p": {"on": {"GO": {"target": "p", "reenter": True}}}, "q": {}},
    }
    assert trace(config, "GO") == ["-q", "-p", "+p", "+q"]


def test_of_two_eventless_transitions_that_conflict_the_deeper_wins() -> None:
    config = {
        "initial": "s",
        "states": {
            "s": {"on": {"GO": "w"}},
            "w": {
                "type": "parallel",
                "always": "s",
                "states": {"p": {}, "q": {"always": "#end"}},
            },
            "end": {"id": "end"},
        },
    }
    assert trace(config, "GO") == ["-s", "+w", "+p", "+q", "-q", "-p", "-w", "+end"]


def test_an_exact_event_type_is_tried_before_wildcards() -> None:
    config = {"initial": "a", "states": {"a": {"on": {"*": "c", "GO": "b"}}, "b": {}, "c": {}}}
    assert trace(config, "GO") == ["-a", "+b"]
    assert trace(config, "OTHER") == ["-a", "+c"]


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("a.b", ["-s", "+ab"]),
        ("a.b.c.d", ["-s", "+ab"]),
        ("a.bc", ["-s", "+a"]),
        ("b", ["-s", "+any"]),
        ("a.*.c", ["-s", "+literal"]),
    ],
)
def test_the_longest_wildcard_wins(event_type: str, expected: list[str]) -> None:
    on = {"*": "any", "a.*": "a", "a.b.*": "ab", "a.*.c": "literal"}
    states = {"s": {"on": on}, **{key: {} for key in on.values()}}
    assert trace({"initial": "s", "states": states}, event_type) == expected


class TestHistoryByWayOfHistory:
    """A history state without a target leads to the initial child, which may be a history state."""

    def machine(self, **default: Any) -> Machine:
        inner: dict[str, Any] = {
            "initial": "first",
            "on": {"AWAY": "away"},
            "states": {
                "a": {"on": {"NEXT": "b"}},
                "b": {},
                "c": {"initial": "x", "states": {"x": {}, "y": {}}},
                "first": {"type": "history", "target": "a"},
                "last": {"type": "history", **default},
            },
        }
        away: dict[str, Any] = {"on": {"BACK": "open.last", "OPEN": "open"}}
        states: Any = {"away": away, "open": inner}
        return Machine({"initial": "away", "states": states})

    def values(self, machine: Machine, *event_types: str) -> list[object]:
        snapshot = machine.start().snapshot
        found: list[object] = []
        for event_type in event_types:
            snapshot = machine.run(snapshot, {"type": event_type}).snapshot
            assert machine.persist(machine.restore(machine.persist(snapshot))) == (
                machine.persist(snapshot)
            )
            found.append(snapshot.value)
        return found

    @pytest.mark.parametrize("default", [{}, {"target": "first"}, {"history": "deep"}])
    def test_is_accepted(self, default: Any) -> None:
        values = self.values(self.machine(**default), "BACK", "NEXT", "AWAY", "BACK")
        assert values == [{"open": "a"}, {"open": "b"}, "away", {"open": "b"}]

    def test_may_be_left_before_anything_else_happens(self) -> None:
        # XState loops endlessly on the second way back.
        values = self.values(self.machine(), "BACK", "AWAY", "BACK", "AWAY", "OPEN")
        assert values == [{"open": "a"}, "away", {"open": "a"}, "away", {"open": "a"}]

    def test_is_shown_in_the_value_as_in_xstate(self) -> None:
        machine = Machine(
            {
                "initial": "away",
                "states": {
                    "away": {"on": {"BACK": "open.last"}},
                    "open": {
                        "initial": "first",
                        "on": {"NEXT": ".b"},
                        "states": {
                            "first": {"type": "history", "target": "a.y"},
                            "a": {"initial": "x", "states": {"x": {}, "y": {}}},
                            "b": {},
                            "last": {"type": "history"},
                        },
                    },
                },
            }
        )
        assert self.values(machine, "BACK", "NEXT") == [
            {"open": {"first": {}, "a": "y"}},
            {"open": "b"},
        ]
