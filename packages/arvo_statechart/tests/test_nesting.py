"""States may be nested 1,000 levels deep, as in XState; deeper nesting is refused by name.

Values this deep are compared step by step: Python's own comparison has a limit of its own.
"""

from typing import Any, cast

import pytest

from arvo_statechart import (
    Call,
    InvalidSnapshotError,
    Machine,
    MachineDefinitionError,
    Snapshot,
    assign,
    emit,
    log,
    raise_,
    state_in,
    to_dot,
    to_mermaid,
)
from arvo_statechart._definition import tree
from arvo_statechart.typing import MachineConfig

LEVELS = 1_000


def chain(levels: int, innermost: Any) -> dict[str, Any]:
    """Return nested states, `levels` below the root, each with the key 'a'."""
    config = innermost
    for _ in range(levels):
        config = {"initial": "a", "states": {"a": config}}
    return cast(dict[str, Any], config)


def depth_of(value: Any) -> int:
    levels = 0
    while isinstance(value, dict) and value:
        (value,) = value.values()
        levels += 1
    return levels + isinstance(value, str)


def path(*, levels: int, last: str = "a") -> str:
    return ".".join(["a"] * (levels - 1) + [last])


LEAVES = {"a": {"on": {"GO": "b"}}, "b": {"on": {"GO": "a"}}}
DEEP = chain(LEVELS - 1, {"initial": "a", "states": LEAVES})


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(cast(MachineConfig, {"id": "m", **DEEP}))


@pytest.fixture(scope="module")
def started(machine: Machine) -> Snapshot:
    return machine.start().snapshot


def test_a_machine_of_a_thousand_levels_starts(machine: Machine, started: Snapshot) -> None:
    assert started.status == "active"
    assert depth_of(started.value) == LEVELS
    assert len(machine._chart.nodes) == LEVELS + 2
    assert machine.warnings == ()


def test_a_machine_of_a_thousand_levels_takes_events(machine: Machine, started: Snapshot) -> None:
    assert started.can({"type": "GO"})
    moved = machine.run(started, {"type": "GO"}).snapshot
    assert moved.matches(path(levels=LEVELS, last="b"))
    assert not moved.matches(path(levels=LEVELS, last="a"))
    assert machine.transition(moved, {"type": "GO"})[0].matches(path(levels=LEVELS))


def test_a_machine_of_a_thousand_levels_is_stored_and_restored(
    machine: Machine, started: Snapshot
) -> None:
    moved = machine.run(started, {"type": "GO"}).snapshot
    stored = machine.persist(moved)
    assert depth_of(stored["value"]) == LEVELS
    restored = machine.restore(stored)
    assert restored._configuration.nodes == moved._configuration.nodes
    assert machine.run(restored, {"type": "GO"}).snapshot.matches(path(levels=LEVELS))
    resolved = machine.resolve(path(levels=1))
    assert depth_of(resolved.value) == LEVELS


def test_a_machine_of_a_thousand_levels_is_drawn_and_shown(
    machine: Machine, started: Snapshot
) -> None:
    assert to_mermaid(machine).count("state ") == LEVELS + 2
    assert to_dot(machine).count("subgraph") == LEVELS
    assert len(repr(started)) < 1_000


@pytest.mark.parametrize(
    "guard", [state_in(path(levels=LEVELS, last="b")), state_in("#deep"), state_in(path(levels=9))]
)
def test_a_guard_may_name_a_state_a_thousand_levels_deep(guard: Any) -> None:
    leaves: Any = {"a": {"on": {"GO": "b"}}, "b": {"id": "deep"}}
    config = chain(LEVELS - 1, {"initial": "a", "states": leaves})
    config["on"] = {"ASK": {"guard": guard, "actions": log("x")}}
    deep = Machine(cast(MachineConfig, config))
    moved = deep.run(deep.start().snapshot, {"type": "GO"}).snapshot
    assert moved.can({"type": "ASK"})


def test_a_state_value_of_a_thousand_levels_is_matched(started: Snapshot) -> None:
    assert started.matches(started.value)


def test_a_target_leads_a_thousand_levels_down() -> None:
    config: Any = {"initial": "x", "states": {"x": {"on": {"GO": path(levels=LEVELS)}}, "a": {}}}
    config["states"]["a"] = chain(LEVELS - 1, {"tags": "bottom"})
    deep = Machine(cast(MachineConfig, config))
    assert deep.run(deep.start().snapshot, {"type": "GO"}).snapshot.has_tag("bottom")


@pytest.mark.parametrize("kind", ["shallow", "deep"])
def test_history_remembers_a_thousand_levels(kind: str) -> None:
    work = chain(LEVELS - 2, {"initial": "a", "states": LEAVES})
    work["states"]["h"] = {"type": "history", "history": kind}
    config = {
        "initial": "work",
        "states": {"work": {**work, "on": {"STOP": "rest"}}, "rest": {"on": {"GO": "work.h"}}},
    }
    deep = Machine(cast(MachineConfig, config))
    snapshot = deep.start().snapshot
    for event_type in ("GO", "STOP", "GO"):
        stored = deep.persist(deep.run(snapshot, {"type": event_type}).snapshot)
        snapshot = deep.restore(stored)
    assert snapshot.matches("work." + path(levels=LEVELS - 1, last="b" if kind == "deep" else "a"))


def test_regions_are_nested_a_thousand_levels() -> None:
    config: Any = {"initial": "a", "states": LEAVES}
    for _ in range(LEVELS // 2 - 1):
        region: Any = {
            "initial": "p",
            "states": {"p": {"type": "parallel", "states": {"q": config}}},
        }
        region["states"]["p"]["states"]["r"] = {
            "initial": "a",
            "states": {"a": {"on": {"GO": {"guard": lambda call: True, "target": "b"}}}, "b": {}},
        }
        config = region
    deep = Machine(cast(MachineConfig, config))
    result = deep.run(deep.start().snapshot, {"type": "GO"})
    assert result.error is None
    assert {node.key for node in result.snapshot._configuration.leaves} == {"b"}
    restored = deep.restore(deep.persist(result.snapshot))
    assert restored._configuration.members == result.snapshot._configuration.members


def test_an_end_is_passed_on_through_nested_regions() -> None:
    config: Any = {"initial": "a", "states": {"a": {"on": {"GO": "b"}}, "b": {"type": "final"}}}
    for _ in range(LEVELS - 2):
        config = {"type": "parallel", "states": {"p": config}}
    deep = Machine(cast(MachineConfig, config))
    assert deep.run(deep.start().snapshot, {"type": "GO"}).done


def test_more_than_a_thousand_levels_are_refused_by_name() -> None:
    config = chain(LEVELS + 1, {})
    with pytest.raises(MachineDefinitionError, match="nested more than 1,000 levels") as refused:
        Machine(cast(MachineConfig, config))
    (problem,) = refused.value.problems
    assert len(problem.path) == 2 * LEVELS + 1
    assert "[...]" in problem.location
    assert len(str(refused.value)) < 1_000


def test_a_definition_that_contains_itself_is_refused() -> None:
    config: Any = {"initial": "a", "states": {}}
    config["states"] = {"a": config, "b": config}
    with pytest.raises(MachineDefinitionError, match="nested more than 1,000 levels"):
        Machine(cast(MachineConfig, config))


def test_states_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree._MOST_STATES == 100_000
    monkeypatch.setattr(tree, "_MOST_STATES", 1_000)
    config: Any = {}
    # Shared by reference, as in YAML, where a few lines can make any number of states.
    for _ in range(60):
        config = {"initial": "0", "states": {str(key): config for key in range(10)}}
    with pytest.raises(MachineDefinitionError, match="there are more than 1,000 states"):
        Machine(cast(MachineConfig, config))


def test_default_ids_have_a_limit() -> None:
    config: Any = {}
    for _ in range(30):
        config = {"initial": "a" * 500, "states": {"a" * 500: config}}
    with pytest.raises(MachineDefinitionError, match="more than 10,000 characters"):
        Machine(cast(MachineConfig, config))
    with pytest.raises(MachineDefinitionError, match="more than 10,000 characters"):
        Machine({"id": "x" * 10_001})
    assert Machine({"id": "x" * 10_000}).id == "x" * 10_000


@pytest.mark.parametrize("levels", [LEVELS + 1, 100_000])
def test_a_stored_value_deeper_than_the_machine_is_refused(machine: Machine, levels: int) -> None:
    value: Any = "a"
    for _ in range(levels):
        value = {"a": value}
    with pytest.raises(InvalidSnapshotError, match="unknown state 'a'") as refused:
        machine.restore({"status": "active", "value": value, "context": {}})
    assert len(str(refused.value)) < 1_000
    assert not machine.start().snapshot.matches(value)
    assert not machine.start().snapshot.matches(path(levels=levels))


@pytest.mark.parametrize("wrong", [[[]], 3, None])
def test_a_stored_value_of_another_type_is_refused_with_a_short_message(
    machine: Machine, wrong: Any
) -> None:
    deep = wrong
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidSnapshotError, match="expected a string or a mapping") as refused:
        machine.restore({"status": "active", "value": {"a": deep}, "context": {}})
    assert len(str(refused.value)) < 1_000


def test_values_in_a_config_may_be_of_any_depth() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = {"x": [deep]}
    config: MachineConfig = {
        "context": {"deep": deep},
        "entry": [
            emit({"type": "out", "deep": deep}),
            raise_({"type": "IN", "deep": deep}),
            assign({"again": deep}),
            log(deep),
        ],
        "on": {
            "IN": {"guard": lambda call: "x" in call.event["deep"], "actions": assign({"in": 1})}
        },
    }
    result = Machine(config).start(log=lambda message: None)
    assert result.error is None
    assert result.snapshot.context["in"] == 1
    assert result.snapshot.context["deep"] is not deep
    assert result.emitted[0]["deep"] is not deep


def test_a_context_that_contains_itself_is_copied_as_such() -> None:
    context: Any = {"list": [1, {}]}
    context["self"] = context
    context["list"][1]["list"] = context["list"]
    copied = Machine({"context": context}).start().snapshot.context
    assert copied is not context
    assert copied["self"] is copied
    assert copied["list"] is not context["list"]
    assert copied["list"][1]["list"] is copied["list"]


def test_a_problem_in_a_deep_definition_shows_its_location() -> None:
    config = chain(LEVELS, {"entyr": "x"})
    with pytest.raises(MachineDefinitionError, match="did you mean 'entry'") as refused:
        Machine(cast(MachineConfig, config))
    (problem,) = refused.value.problems
    assert problem.path == ("states", "a") * LEVELS + ("entyr",)
    assert problem.location.endswith(".states.a.entyr")


def test_a_guard_error_of_a_deep_state_is_short() -> None:
    def fail(call: Call) -> bool:
        raise ValueError("x")

    deep = Machine(cast(MachineConfig, chain(LEVELS, {"on": {"GO": {"guard": fail}}})))
    result = deep.run(deep.start().snapshot, {"type": "GO"})
    assert str(result.error).endswith("x")
