"""Which states a transition leaves and enters: the traps for those who know SCXML."""

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
def test_from_the_root(transition: Any, expected: list[str]) -> None:
    assert trace({**NESTED, "on": {"GO": transition}}, "GO") == expected


def test_from_below_the_root_to_the_root_leaves_and_enters_it() -> None:
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


def test_an_exact_event_type_hides_the_wildcards_beside_it() -> None:
    config = {
        "initial": "a",
        "states": {
            "a": {"on": {"GO": {"target": "b", "guard": lambda call: False}, "*": "c"}},
            "b": {},
            "c": {},
        },
    }
    assert trace(config, "GO") == []
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
