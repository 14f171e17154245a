from typing import Any

import pytest

from arvo_statechart import (
    Machine,
    MachineDefinitionError,
    and_,
    assign,
    enqueue_actions,
    not_,
    or_,
    raise_,
    state_in,
)

INCREASE = assign({"n": 1})
TWO: Any = {"initial": "open", "states": {"open": {"on": {"GO": "shut"}}, "shut": {}}}
ACTIONS: Any = {
    "increase": INCREASE,
    "raise": raise_({"type": "RAISED"}),
    "note": lambda call: None,
}
GUARDS: Any = {
    "in": state_in("open"),
    "nowhere": and_([state_in("x.y"), "in", "in"]),
    "yes": lambda call: True,
}


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
            {"initial": "a", "states": {"a": {"initial": "b", "states": {"b": {}}, "onDone": {}}}},
            "states.a.onDone",
            "never reached",
        ),
        (
            {
                "initial": "a",
                "states": {
                    "a": {
                        "type": "parallel",
                        "onDone": {},
                        "states": {
                            "p": {"initial": "x", "states": {"x": {"type": "final"}}},
                            "q": {},
                        },
                    }
                },
            },
            "states.a.onDone",
            "never reached",
        ),
        ({"entry": raise_({"type": "PAYED"}), "on": {"PAID": {}}}, "entry", "mean 'PAID'?"),
        ({"entry": ["raise"], "on": {"OTHER": {}}}, "entry[0]", "'RAISED', which no state takes"),
        (
            {"on": {"GO": [{"actions": {"type": "raise"}}]}},
            "on.GO[0].actions",
            "'RAISED', which no state takes",
        ),
        ({"on": {"done.state.a": {}}}, "on['done.state.a']", "write 'onDone'"),
        ({"on": {"done.invoke.a": {}}}, "on['done.invoke.a']", "actors are not supported"),
        ({"on": {"xstate.after(10)#a": {}}}, "on['xstate.after(10)#a']", "write 'after'"),
        (
            {"id": "m", "after": {10: {}}, "on": {"xstate.after.1.m": {}}},
            "on['xstate.after.1.m']",
            "did you mean 'xstate.after.10.m'?",
        ),
        (
            {"id": "m", "after": {10: {}}, "on": {"xstate.after.20.*": {}}},
            "on['xstate.after.20.*']",
            "nothing that it covers is sent or raised",
        ),
        (
            {**TWO, "after": {10: {"guard": state_in("opend"), "actions": "note"}}},
            "after[10].guard",
            "did you mean 'open'?",
        ),
        (
            {"id": "order", "on": {"xstate.done.state.oder": {}}},
            "on['xstate.done.state.oder']",
            "did you mean 'order'?",
        ),
        (
            {**TWO, "on": {"GO": {"guard": state_in("opened")}}},
            "on.GO.guard",
            "state_in never passes: below '(machine)', unknown state 'opened': did you mean 'open'?",
        ),
        (
            {**TWO, "on": {"GO": {"guard": or_(["in", not_(state_in({"open": "held"}))])}}},
            "on.GO.guard",
            "below '(machine).open', unknown state 'held': there is none",
        ),
        (
            {**TWO, "always": [{"guard": "nowhere", "target": ".open"}]},
            "always[0].guard",
            "unknown state 'x'",
        ),
    ],
)
def test_a_probable_mistake_is_a_warning(config: Any, location: str, message: str) -> None:
    (problem,) = Machine(config, actions=ACTIONS, guards=GUARDS).warnings
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
        {"entry": raise_({"type": "a.b"}), "on": {"a.*": {}}},
        {"entry": raise_(lambda call: {"type": "a"})},
        {"id": "m", "on": {"xstate.done.state.m": {}, "xstate.error.actor.x": {}}},
        {**TWO, "on": {"GO": {"guard": and_([state_in("#(machine).open"), "in", "yes"])}}},
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
def test_a_plausible_definition_has_no_warnings(config: Any) -> None:
    assert Machine(config, actions=ACTIONS, guards=GUARDS).warnings == ()


def test_warnings_are_computed_once() -> None:
    machine = Machine({"on": {"ab*": {}}})
    assert machine.warnings is machine.warnings


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        ({"on": {"PAYD": {}}}, "on.PAYD", "did you mean 'PAID'?"),
        ({"on": {"x": {}}}, "on.x", "unknown event 'x': there is 'PAID', 'order.shipped'"),
        (
            {**TWO, "entry": raise_({"type": "GO"}), "on": {"GOO": {}}},
            "on.GOO",
            "did you mean 'GO'?",
        ),
    ],
)
def test_waiting_for_an_event_that_a_host_never_sends_is_a_warning(
    config: Any, location: str, message: str
) -> None:
    (problem,) = Machine(config, events=["order.shipped", "PAID"]).warnings
    assert problem.location == location
    assert message in problem.message


@pytest.mark.parametrize(
    "config",
    [
        {"on": {"PAID": {}, "PAID.*": {}, "*": {}, "xstate.error.actor.x": {}}},
        {"id": "m", "on": {"xstate.done.state.m": {}}},
        {"id": "m.n", "on": {"xstate.done.state.m.*": {}, "xstate.done.state.*": {}}},
        {"on": {"evt.*": {}, "evt.svc.*": {}, "evt.svc.echo.*": {}, "xstate.*": {}}},
        {"entry": raise_({"type": "own.part"}), "on": {"own.*": {}}},
        {
            "initial": {"target": "a", "actions": raise_({"type": "A"})},
            "states": {"a": {"on": {"A": {}}}},
        },
        {"on": {"A": {}, "PAID": {"actions": raise_({"type": "A"})}}},
    ],
)
def test_waiting_for_events_that_a_host_sends_or_a_machine_raises_is_no_warning(
    config: Any,
) -> None:
    events = ["PAID", "evt.svc.echo.success"]
    assert Machine(config, events=events).warnings == ()


SENT = ["evt.svc.echo", "evt.svc.echo.done", "sys.svc.echo.error", "PAID"]


@pytest.mark.parametrize(
    ("descriptor", "message"),
    [
        ("evt.svc.ecko.*", "unknown wildcard 'evt.svc.ecko.*': did you mean 'evt.svc.echo.*'?"),
        ("evt.svx.*", "did you mean 'evt.svc.*'?"),
        ("ewt.*", "did you mean 'evt.*'?"),
        ("evt.svc.ech.*", "did you mean 'evt.svc.echo.*'?"),
        ("sys.svc.echo.error.more.*", "nothing that it covers is sent or raised"),
        ("nothing.*", "there is 'PAID.*', 'evt.*', 'own.*', 'sys.*'"),
        ("owm.*", "did you mean 'own.*'?"),
        ("xstate.done.state.oder.*", "did you mean 'xstate.done.state.order.*'?"),
        ("done.state.*", "write 'onDone'"),
    ],
)
def test_a_wildcard_that_covers_no_event_is_a_warning(descriptor: str, message: str) -> None:
    config: Any = {
        "id": "order.main",
        "entry": raise_({"type": "own.part"}),
        "on": {descriptor: {}, "own.*": {}},
    }
    (problem,) = Machine(config, events=SENT).warnings
    assert problem.location == f"on['{descriptor}']"
    assert message in problem.message


def test_a_wildcard_for_what_functions_may_raise_is_a_warning_only_if_it_looks_misspelt() -> None:
    config: Any = {
        "entry": enqueue_actions(lambda call: []),
        "on": {"other.*": {}, "evt.svc.ecko.*": {}},
    }
    (problem,) = Machine(config, events=SENT).warnings
    assert problem.location == "on['evt.svc.ecko.*']"


def test_wildcards_may_cover_anything_where_the_events_are_not_known() -> None:
    assert Machine({"on": {"evt.svc.ecko.*": {}}}).warnings == ()


def test_a_guard_that_never_passes_is_reported_where_it_is_first_used() -> None:
    config: Any = {**TWO, "on": {name: {"guard": "nowhere"} for name in ("GO", "STOP")}}
    (problem,) = Machine(config, guards=GUARDS).warnings
    assert problem.location == "on.GO.guard"


def test_if_functions_may_raise_events_only_a_probable_misspelling_is_a_warning() -> None:
    config: Any = {"entry": raise_(lambda call: {"type": "x"}), "on": {"x": {}, "PAYD": {}}}
    (problem,) = Machine(config, events=["PAID"]).warnings
    assert problem.location == "on.PAYD"


@pytest.mark.parametrize("events", ["PAID", [1], 5])
def test_events_of_a_host_must_be_strings(events: Any) -> None:
    with pytest.raises(
        MachineDefinitionError, match="events: expected strings, the types of events"
    ):
        Machine({}, events=events)


def test_there_are_at_most_twenty_warnings_and_a_hint_at_the_rest() -> None:
    config: Any = {"initial": "s", "states": {"s": {}, **{f"s{n}": {} for n in range(500)}}}
    warnings = Machine(config).warnings
    assert len(warnings) == 21
    assert "there are more" in warnings[-1].message
    assert len(Machine({"on": {f"{n}*": {} for n in range(20)}}).warnings) == 20
