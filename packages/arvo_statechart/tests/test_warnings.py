from typing import Any

import pytest

from arvo_statechart import Machine, assign

INCREASE = assign({"n": 1})


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        ({"initial": "a", "states": {"a": {}, "b": {}}}, "states.b", "unreachable"),
        (
            {"initial": "a", "states": {"a": {"type": "final", "on": {"GO": "a"}}}},
            "states.a.on",
            "leads out of a final state",
        ),
        ({"on": {"a.*.b": {}}}, "on['a.*.b']", "whole last part"),
        ({"on": {"ab*": {}}}, "on['ab*']", "whole last part"),
        ({"always": {"actions": INCREASE}}, "always", "never comes to rest"),
        ({"always": [{"actions": ["increase"]}]}, "always[0]", "never comes to rest"),
        ({"always": [{"actions": {"type": "increase"}}]}, "always[0]", "never comes to rest"),
        (
            {"initial": "a", "states": {"a": {}, "h": {"history": True, "entry": []}}},
            "states.h.entry",
            "never active",
        ),
        ({"type": "parallel", "initial": "p", "states": {"p": {}}}, "initial", "no initial child"),
        ({"initial": "a", "states": {"a": {"output": 1}}}, "states.a.output", "only final"),
        (
            {"initial": "a", "states": {"a": {"target": "a"}}},
            "states.a.target",
            "only a history state",
        ),
    ],
)
def test_what_is_probably_not_meant(config: Any, location: str, message: str) -> None:
    (problem,) = Machine(config, actions={"increase": INCREASE}).warnings
    assert problem.location == location
    assert message in problem.message


@pytest.mark.parametrize(
    "config",
    [
        {"always": {"guard": lambda call: False, "actions": INCREASE}},
        {
            "initial": "a",
            "states": {"a": {"always": {"target": "b", "actions": INCREASE}}, "b": {}},
        },
        {"always": {"actions": lambda call: None}},
        {"always": {"actions": "note"}},
        {"on": {"*": {}, "a.*": {}}},
        {"output": 1},
        {
            "initial": "a",
            "states": {
                "a": {"on": {"GO": "b.h"}},
                "b": {
                    "initial": "x",
                    "states": {
                        "x": {},
                        "y": {"initial": "z", "states": {"z": {}}},
                        "h": {"history": "deep", "target": "y"},
                    },
                },
            },
        },
    ],
)
def test_what_may_be_meant(config: Any) -> None:
    assert Machine(config, actions={"note": lambda call: None}).warnings == ()
