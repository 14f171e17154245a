from typing import Any, cast

import pytest

from arvo_statechart import (
    Call,
    Machine,
    MachineDefinitionError,
    assign,
    emit,
    enqueue_actions,
    log,
    raise_,
)
from arvo_statechart.typing import MachineConfig


def problems_of(config: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(MachineDefinitionError) as refused:
        Machine(cast(MachineConfig, config), **more)
    for problem in refused.value.problems:
        assert f"{problem.location}: {problem.message}" in str(refused.value)
    return [(problem.location, problem.message) for problem in refused.value.problems]


async def asynchronous(call: Call) -> Any:
    return call


class AsynchronousCallable:
    async def __call__(self, call: Call) -> Any:
        return call


def state(**config: Any) -> dict[str, Any]:
    """A machine whose one state has this config."""
    return {"initial": "a", "states": {"a": config}}


@pytest.mark.parametrize(
    ("config", "location", "message"),
    [
        pytest.param([], "(root)", "expected a mapping", id="root-is-a-list"),
        pytest.param({"states": [1]}, "states", "expected a mapping", id="states-is-a-list"),
        pytest.param({"states": {1: {}}}, "states", "expected strings as keys", id="number-as-key"),
        pytest.param(
            {"states": {"": {}}, "initial": ""}, "states['']", "must not be empty", id="empty-key"
        ),
        pytest.param(state(entyr="x"), "states.a.entyr", "did you mean 'entry'?", id="typo"),
        pytest.param(
            state(version="1"), "states.a.version", "unknown key", id="version-in-a-state"
        ),
        pytest.param(state(invoke={}), "states.a.invoke", "not supported", id="invoke"),
        pytest.param(state(on={"": "a"}), "states.a.on['']", "'always'", id="empty-event-type"),
        pytest.param(state(on=["GO"]), "states.a.on", "expected a mapping", id="on-is-a-list"),
        pytest.param(state(type="compund"), "states.a.type", "did you mean 'compound'?", id="type"),
        pytest.param(state(id=3), "states.a.id", "expected a string", id="id-is-a-number"),
        pytest.param({"type": "history"}, "(root)", "cannot be a history", id="root-is-history"),
        pytest.param(
            {"initial": "a", "states": {"a": {"id": "x"}, "b": {"id": "x"}}},
            "states.b.id",
            "the state at states.a has it too",
            id="duplicate-id",
        ),
        pytest.param(
            {"id": "m", "initial": "a", "states": {"a": {"id": "m"}}},
            "states.a.id",
            "the state at (root) has it too",
            id="duplicate-id-of-the-root",
        ),
        pytest.param(
            state(type="final", states={"b": {}}),
            "states.a.states",
            "no children",
            id="final-with-children",
        ),
        pytest.param(
            state(type="atomic", states={"b": {}}),
            "states.a.states",
            "no children",
            id="atomic-with-children",
        ),
        pytest.param(
            {"states": {"a": {}}},
            "initial",
            "missing: name the child to enter by default, of 'a'",
            id="no-initial",
        ),
        pytest.param({"type": "compound"}, "initial", "of none", id="compound-without-children"),
        pytest.param(
            {"initial": "b.c", "states": {"a": {}}},
            "initial",
            "unknown child 'b.c': there is 'a'",
            id="unknown-initial",
        ),
        pytest.param(
            {"initial": 3, "states": {"a": {}}},
            "initial",
            "unknown child 3",
            id="initial-is-a-number",
        ),
        pytest.param(
            {"initial": {"actions": []}, "states": {"a": {}}},
            "initial",
            "missing",
            id="initial-without-target",
        ),
        pytest.param(
            {"initial": {"target": "a", "guard": "x"}, "states": {"a": {}}},
            "initial.guard",
            "unknown key",
            id="guard-of-initial",
        ),
        pytest.param(
            state(on={"GO": "ab"}),
            "states.a.on.GO.target",
            "below '(machine)', unknown state 'ab': did you mean 'a'?",
            id="unknown-target",
        ),
        pytest.param(
            state(on={"a.b": [{}, {"target": "#x"}]}),
            "states.a.on['a.b'][1].target",
            "unknown target '#x'",
            id="unknown-id",
        ),
        pytest.param(
            {"on": {"GO": "a"}, **state()}, "on.GO.target", "write '.a'", id="target-of-the-root"
        ),
        pytest.param(
            state(id="a.b", on={"GO": "#a.b"}),
            "states.a.on.GO.target",
            r"write '#a\\.b'",
            id="id-with-a-dot",
        ),
        pytest.param(
            state(on={"GO": {"target": 3}}),
            "states.a.on.GO.target",
            "expected a string, got 3",
            id="target-is-a-number",
        ),
        pytest.param(
            state(on={"GO": 3}), "states.a.on.GO", "expected a mapping", id="transition-is-a-number"
        ),
        pytest.param(
            state(on={"GO": {"reenter": "yes"}}),
            "states.a.on.GO.reenter",
            "True or False",
            id="reenter-is-a-string",
        ),
        pytest.param(
            state(on={"GO": {"cond": "x"}}),
            "states.a.on.GO.cond",
            "unknown key",
            id="unknown-key-of-a-transition",
        ),
        pytest.param(
            state(always={"guard": "x"}),
            "states.a.always.guard",
            "unknown guard 'x': there is none",
            id="unknown-guard",
        ),
        pytest.param(
            state(entry=["x"]),
            "states.a.entry[0]",
            "unknown action 'x': there is none",
            id="unknown-action",
        ),
        pytest.param(state(exit=3), "states.a.exit", "3 is not an action", id="action-is-a-number"),
        pytest.param(
            state(exit={"params": {}}), "states.a.exit", "string 'type'", id="action-without-type"
        ),
        pytest.param(
            state(initial="b", states={"b": {"type": "final"}}, onDone={"actions": "x"}),
            "states.a.onDone.actions",
            "unknown action",
            id="action-of-on-done",
        ),
        pytest.param(
            state(tags=["a", 3]), "states.a.tags[1]", "expected a string", id="tag-is-a-number"
        ),
        pytest.param(
            {"context": [1]}, "context", "expected a dict or a function", id="context-is-a-list"
        ),
        pytest.param({"context": asynchronous}, "context", "async function", id="async-context"),
        pytest.param(
            {"output": asynchronous},
            "output",
            "'asynchronous' is an async function",
            id="async-output",
        ),
        pytest.param({"entry": asynchronous}, "entry", "async function", id="async-action"),
        pytest.param(
            {"entry": AsynchronousCallable()},
            "entry",
            "'AsynchronousCallable' is an async",
            id="async-object",
        ),
        pytest.param(
            {"entry": assign(cast(Any, asynchronous))},
            "entry",
            "assign 'asynchronous'",
            id="async-assign",
        ),
        pytest.param(
            {"entry": assign({"n": asynchronous})},
            "entry",
            "assign 'asynchronous'",
            id="async-value",
        ),
        pytest.param(
            {"entry": emit(cast(Any, asynchronous))},
            "entry",
            "emit 'asynchronous'",
            id="async-emit",
        ),
        pytest.param(
            {"entry": raise_(cast(Any, asynchronous))},
            "entry",
            "raise_ 'asynchronous'",
            id="async-raise",
        ),
        pytest.param({"entry": log(asynchronous)}, "entry", "log 'asynchronous'", id="async-log"),
        pytest.param(
            {"entry": enqueue_actions(cast(Any, asynchronous))},
            "entry",
            "enqueue_actions 'asynchronous'",
            id="async-enqueue",
        ),
        pytest.param(
            {"on": {"GO": {"guard": asynchronous}}},
            "on.GO.guard",
            "async function",
            id="async-guard",
        ),
        pytest.param(
            {"entry": {"type": "x", "params": asynchronous}},
            "entry",
            "params of 'x'",
            id="async-params",
        ),
    ],
)
def test_a_wrong_definition_is_refused_with_its_place(
    config: Any, location: str, message: str
) -> None:
    ((found_location, found_message),) = problems_of(config)
    assert found_location == location
    assert message in found_message


PARALLEL: dict[str, Any] = {
    "type": "parallel",
    "states": {
        "p": {"id": "p", "initial": "a", "states": {"a": {}, "b": {}, "h": {"type": "history"}}},
        "q": {"id": "q", "initial": "a", "states": {"a": {}, "b": {}}},
        "h": {"id": "h", "type": "history", "target": ["p.b", "q.b"]},
    },
}


@pytest.mark.parametrize(
    "targets", [["#p.a", "#p.b"], ["#p", "#p.a"], ["#p.a", "#h"], ["#h", "#p.a"], ["#m", "#p"]]
)
def test_several_targets_must_be_in_different_regions(targets: list[str]) -> None:
    ((location, message),) = problems_of({"id": "m", "on": {"GO": {"target": targets}}, **PARALLEL})
    assert location == "on.GO.target"
    assert "cannot be entered together" in message


@pytest.mark.parametrize("targets", [["#p.a", "#q.b"], ["#p", "#q.a"], ["#p.h", "#q.b"], ["#h"]])
def test_targets_in_different_regions_are_accepted(targets: list[str]) -> None:
    config = cast(MachineConfig, {"on": {"GO": {"target": targets}}, **PARALLEL})
    assert Machine(config).start().snapshot.can({"type": "GO"})


class TestHistory:
    def of(self, **history: Any) -> dict[str, Any]:
        return {
            "initial": "a",
            "states": {
                "a": {"initial": "x", "states": {"x": {}, "h": {"type": "history", **history}}},
                "b": {"id": "b"},
            },
        }

    def test_has_a_known_depth(self) -> None:
        ((location, message),) = problems_of(self.of(history="deeper"))
        assert location == "states.a.states.h.history"
        assert "'deeper'" in message

    def test_leads_to_a_state_below_its_parent(self) -> None:
        ((location, message),) = problems_of(self.of(target="#b"))
        assert location == "states.a.states.h.target"
        assert "'b' is not below '(machine).a'" in message

    def test_must_not_lead_to_another_history_state(self) -> None:
        ((location, _),) = problems_of(self.of(target="h"))
        assert location == "states.a.states.h"

    def test_may_lead_to_a_history_state_only_if_that_does_not_lead_to_another(self) -> None:
        one, two = {"history": True, "target": "two"}, {"history": True, "target": "three"}
        states = {"one": one, "two": two, "three": {"history": True, "target": "x"}, "x": {}}
        ((location, message),) = problems_of({"initial": "x", "states": states})
        assert location == "states.one"
        assert "'(machine).two'" in message

    def test_does_not_lead_back_to_itself(self) -> None:
        one, two = {"history": True, "target": "two"}, {"history": True, "target": "one"}
        states = {"one": one, "two": two, "x": {}}
        problems = problems_of({"initial": "x", "states": states})
        assert [location for location, _ in problems] == ["states.one", "states.two"]
        assert all("leads to another one" in message for _, message in problems)

    def test_does_not_lead_to_an_initial_child_that_leads_to_itself(self) -> None:
        states = {"h": {"history": True}, "other": {"history": True}, "x": {}}
        problems = problems_of({"initial": "h", "states": states})
        assert [location for location, _ in problems] == ["states.h", "states.other"]

    def test_must_not_lead_to_a_compound_parent(self) -> None:
        ((location, message),) = problems_of(self.of(target="#(machine).a"))
        assert location == "states.a.states.h.target"
        assert "is not below" in message

    def test_does_not_lead_to_itself_as_the_initial_child(self) -> None:
        config = {"initial": "h", "states": {"h": {"history": True}, "x": {}}}
        ((location, message),) = problems_of(config)
        assert location == "states.h"
        assert "give it a 'target'" in message


class TestOptions:
    @pytest.mark.parametrize("limit", [0, -1, 2.5, "10", None, True, float("nan")])
    def test_a_limit_is_a_whole_number_of_at_least_one(self, limit: Any) -> None:
        ((location, message),) = problems_of({"options": {"maxIterations": limit}})
        assert location == "options.maxIterations"
        assert "a whole number of at least 1" in message

    def test_are_known(self) -> None:
        ((location, message),) = problems_of({"options": {"maxIteration": 5}})
        assert location == "options.maxIteration"
        assert "did you mean 'maxIterations'" in message

    @pytest.mark.parametrize("options", [None, 5, []])
    def test_are_a_mapping(self, options: Any) -> None:
        ((location, _),) = problems_of({"options": options})
        assert location == "options"

    def test_belong_to_the_root(self) -> None:
        ((location, _),) = problems_of(state(options={"maxIterations": 5}))
        assert location.endswith(".options")


def test_transitions_and_initial_may_have_meta() -> None:
    described = {"meta": {"why": "x"}, "description": "words"}
    config: Any = {
        "initial": {"target": "a", **described},
        "states": {"a": {"on": {"GO": {"target": "a", **described}}}},
    }
    machine = Machine(config)
    assert machine.warnings == ()
    # As in XState, a snapshot shows only the meta of its states.
    assert machine.start().snapshot.meta == {}


def test_all_problems_are_reported_together() -> None:
    config = {
        "initial": "a",
        "entry": "x",
        "states": {"a": {"on": {"GO": "b"}}, "c": {"exit": "y"}},
    }
    locations = [location for location, _ in problems_of(config, max_microsteps=0)]
    assert locations == ["entry", "states.a.on.GO.target", "states.c.exit", "(root)"]


def test_empty_lists_are_accepted() -> None:
    config: Any = state(on={"GO": [], "STAY": {"target": []}}, entry=[], tags=(), always=[])
    assert Machine(config).warnings == ()
