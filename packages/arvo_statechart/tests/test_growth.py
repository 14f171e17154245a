"""No definition and no snapshot of n bytes costs more than c x n time and memory.

Depth is bounded: see test_nesting.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from arvo_statechart import (
    InvalidSnapshotError,
    Machine,
    MachineDefinitionError,
    and_,
    assign,
    enqueue_actions,
    log,
    not_,
    or_,
    raise_,
    state_in,
    to_dot,
    to_mermaid,
)
from arvo_statechart.typing import MachineConfig

from .growth import check_linear

Config = dict[str, Any]


def ring(n: int) -> Config:
    """States one after the other."""
    states = {f"s{k}": {"on": {"GO": f"s{(k + 1) % n}"}} for k in range(n)}
    return {"initial": "s0", "states": states}


def regions(n: int, **region: Any) -> Config:
    """Regions that all answer one event."""
    below = {
        "initial": "a",
        "states": {"a": {"on": {"GO": "b"}}, "b": {"on": {"GO": "a"}}},
        **region,
    }
    return {"type": "parallel", "states": {f"r{k}": below for k in range(n)}}


def work_of_regions(n: int, **region: Any) -> Config:
    """Regions below a state that can be left and entered again."""
    work = {**regions(n, **region), "on": {"STOP": "rest"}, "onDone": "rest"}
    rest = {"on": {"GO": "work", "STOP": "work.h"}}
    work["states"]["h"] = {"type": "history", "history": "deep", "target": "r0"}
    return {"initial": "work", "states": {"work": work, "rest": rest}}


def finals(n: int) -> Config:
    """Regions that all reach their end by one event."""
    return work_of_regions(n, states={"a": {"on": {"GO": "b"}}, "b": {"type": "final"}})


def rivals(n: int) -> Config:
    """Regions that all leave the same states."""
    return work_of_regions(n, on={"STOP": "#rest"}) | {
        "states": {
            "work": work_of_regions(n, on={"GO": "#rest"}, states={"a": {}, "b": {}})["states"][
                "work"
            ],
            "rest": {"id": "rest"},
        }
    }


def with_histories(n: int) -> Config:
    """Regions that all have a history state."""
    below = {
        "a": {},
        "b": {},
        "h": {"type": "history"},
        "d": {"type": "history", "history": "deep"},
    }
    return work_of_regions(n, states=below)


def many_targets(n: int) -> Config:
    """A transition into every region."""
    config = regions(n)
    return {**config, "on": {"STOP": {"target": [f".r{k}.b" for k in range(n)]}}}


def eventless(n: int) -> Config:
    """Regions that all move on without an event."""
    return regions(n, states={"a": {"always": "b"}, "b": {}})


def on_one_state(**config: Any) -> Config:
    return {"initial": "a", "states": {"a": config, "b": {}}}


KINDS = [("literal", ""), ("wild", ".*")]


def never(call: object) -> bool:
    return False


ACCEPTED: Mapping[str, Callable[[int], Config]] = {
    "states": ring,
    "regions": regions,
    "finals": finals,
    "rivals": rivals,
    "histories": with_histories,
    "targets": many_targets,
    "eventless": eventless,
    "event types": lambda n: on_one_state(on={f"E{k}": "b" for k in range(n)}),
    "wildcards": lambda n: on_one_state(on={f"e{k}.*": "b" for k in range(n)}),
    "wildcards beside types": lambda n: on_one_state(
        on={f"{kind}{k}{end}": {"guard": never} for k in range(n) for kind, end in KINDS}
    ),
    "candidates": lambda n: on_one_state(on={"GO": [{"guard": never, "target": "b"}] * n}),
    "always": lambda n: on_one_state(always=[{"guard": never, "target": "b"}] * n),
    "actions": lambda n: on_one_state(entry=[log("x")] * n, exit=[assign({"x": 1})] * n),
    "tags": lambda n: on_one_state(tags=[f"t{k}" for k in range(n)]),
    "raised": lambda n: on_one_state(on={"GO": {"actions": [raise_({"type": "x"})] * n}}),
    "targets of one state": lambda n: on_one_state(on={"GO": {"target": ["b"] * n}}),
    "context": lambda n: {"context": {f"k{k}": [k] for k in range(n)}},
    "escapes": lambda n: {
        "initial": "a",
        "states": {"a": {"on": {"GO": "\\x" * n}}, "x" * n: {}},
    },
    "key": lambda n: on_one_state(on={"x" * n: "b", "x." * n: "b", "GO": {}}),
    "guards of guards": lambda n: on_one_state(
        on={"GO": [{"guard": and_([or_([never] * 9)] * 9)} for _ in range(n // 10)]}
    ),
    "state_in": lambda n: on_one_state(on={"GO": {"guard": state_in(".".join(["b"] * n))}}),
}


def whole_life(config: Config) -> Callable[[], object]:
    """Everything that a host does with a machine."""

    def work() -> None:
        machine = Machine(cast(MachineConfig, config), events=["GO", "STOP"])
        result = machine.start()
        for event_type in ("GO", "STOP", "GO", "STOP"):
            stored = machine.persist(result.snapshot)
            restored = machine.restore(stored)
            assert restored.value == result.snapshot.value
            result = machine.run(restored, {"type": event_type})
            assert result.error is None
        result.snapshot.matches("a.b")
        result.snapshot.can({"type": "GO"})
        assert len(machine.warnings) <= 21
        to_dot(machine)
        to_mermaid(machine)

    return work


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_cost_of_using_a_machine_grows_with_its_size(name: str) -> None:
    check_linear(lambda n: whole_life(ACCEPTED[name](n)), size=48)


@pytest.mark.parametrize(
    "name", ["regions", "finals", "rivals", "histories", "targets", "eventless"]
)
def test_the_cost_of_a_step_of_many_regions_grows_with_their_number(name: str) -> None:
    def prepare(n: int) -> Callable[[], object]:
        machine = Machine(cast(MachineConfig, ACCEPTED[name](n)))
        started = machine.start().snapshot

        def work() -> None:
            snapshot = started
            for event_type in ("GO", "STOP", "GO", "STOP"):
                result = machine.run(snapshot, {"type": event_type})
                assert result.error is None
                snapshot = result.snapshot

        return work

    check_linear(prepare, size=150)


REFUSED: Mapping[str, Callable[[int], Config]] = {
    "unknown keys": lambda n: {f"k{k}": 1 for k in range(n)},
    "unknown keys below": lambda n: {
        "initial": "s0",
        "states": {f"s{k}": {"entyr": k} for k in range(n)},
    },
    "unknown targets": lambda n: {
        "initial": "s0",
        "states": {f"s{k}": {"on": {"GO": f"t{k}"}} for k in range(n)},
    },
    "unknown long target": lambda n: on_one_state(on={"GO": "a" * n}),
    "unknown target of escapes": lambda n: on_one_state(on={"GO": "\\a" * n}),
    "unknown path": lambda n: on_one_state(on={"GO": ".a" * n}),
    "unknown id": lambda n: on_one_state(on={"GO": "#" + "a." * n}),
    "unknown initial": lambda n: {"initial": "x" * n, "states": {f"s{k}": {} for k in range(n)}},
    # No character is so frequent that difflib would leave it out.
    "similar long names": lambda n: {
        "initial": "".join(chr(256 + k % 100) for k in range(16 * n)),
        "states": {"".join(chr(256 + k % 100) for k in range(16 * n + 1)): {}},
    },
    "unknown actions": lambda n: {"entry": ["x" * 50] * n},
    "long id": lambda n: {"id": "x" * 100 * n, "on": {"GO": "x"}},
    "same ids": lambda n: {"initial": "s0", "states": {f"s{k}": {"id": "x"} for k in range(n)}},
    "numbers as actions": lambda n: {"entry": list(range(n))},
    "large value": lambda n: {"entry": {"type": [[0] * n]}},
    "targets in one region": lambda n: {
        **ring(n),
        "on": {"GO": {"target": [f".s{k}" for k in range(n)]}},
    },
    "events": lambda n: on_one_state(on={f"E{k}": 3 for k in range(n)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_cost_of_refusing_a_definition_grows_with_its_size(name: str) -> None:
    def prepare(n: int) -> Callable[[], object]:
        config = cast(MachineConfig, REFUSED[name](n))

        def work() -> None:
            with contextlib.suppress(MachineDefinitionError):
                Machine(config)

        return work

    check_linear(prepare, size=64)
    with pytest.raises(MachineDefinitionError) as refused:
        Machine(cast(MachineConfig, REFUSED[name](400)))
    assert len(refused.value.problems) <= 20
    assert len(str(refused.value)) <= 4_096


DEFINED = Machine(cast(MachineConfig, with_histories(50)))

SNAPSHOTS: Mapping[str, Callable[[int], Any]] = {
    "unknown keys": lambda n: {"value": {f"k{k}": "a" for k in range(n)}},
    "deep": lambda n: {"value": nested(n)},
    "deep in a leaf": lambda n: {"value": {"work": {"r0": {"a": nested(n)}}}},
    "long": lambda n: {"value": "x" * n},
    "list": lambda n: {"value": [1] * n},
    "status": lambda n: {"status": ["x"] * n},
    "context": lambda n: {"value": "rest", "context": [1] * n},
    "history": lambda n: {"value": "rest", "historyValue": [1] * n},
    "unknown histories": lambda n: {
        "value": "rest",
        "historyValue": {f"h{k}": [] for k in range(n)},
    },
    "records of one": lambda n: {
        "value": "rest",
        "historyValue": {"(machine).work.r0.h": [{"id": "(machine).work.r0.a"}] * n},
    },
    "records of many": lambda n: {
        "value": "rest",
        "historyValue": {
            f"(machine).work.r{k}.h": [{"id": f"(machine).work.r{k}.a"}] for k in range(n)
        },
    },
}


def nested(levels: int) -> Any:
    value: Any = "a"
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_the_cost_of_restoring_grows_with_the_snapshot(name: str) -> None:
    def prepare(n: int) -> Callable[[], object]:
        stored = {"status": "active", "context": {}, **SNAPSHOTS[name](n)}

        def work() -> None:
            with contextlib.suppress(InvalidSnapshotError):
                DEFINED.run(DEFINED.restore(stored), {"type": "GO"})

        return work

    check_linear(prepare, size=60)
    message = refusal_of({"status": "active", "context": {}, **SNAPSHOTS[name](5_000)})
    assert len(message) < 1_000


def refusal_of(stored: Any) -> str:
    try:
        DEFINED.restore(stored)
    except InvalidSnapshotError as error:
        return str(error)
    return ""


def test_the_caches_of_a_large_machine_are_bounded() -> None:
    machine = Machine(cast(MachineConfig, regions(2_000)))
    assert machine._planner.most_configurations * len(machine._chart.nodes) < 1_000_000
    assert Machine({})._planner.most_configurations == 1_024


def test_plans_of_one_configuration_are_bounded() -> None:
    events = [f"E{number}" for number in range(9_000)]
    machine = Machine({"on": {event: {"actions": log("taken")} for event in events}})
    snapshot = machine.start().snapshot
    for event in events:
        machine.transition(snapshot, {"type": event})
    assert 0 < len(machine._planner.plans) <= 8_192


def test_plans_are_dropped_together_with_the_configurations_they_lead_to() -> None:
    switches: Config = {
        f"r{k}": {
            "initial": "a",
            "states": {"a": {"on": {f"E{k}": "b"}}, "b": {"on": {f"E{k}": "a"}}},
        }
        for k in range(11)
    }
    machine = Machine({"type": "parallel", "states": switches})
    snapshot = machine.start().snapshot
    for number in range(2**11):
        changed = (number ^ (number + 1)).bit_length() - 1
        snapshot, _ = machine.transition(snapshot, {"type": f"E{min(changed, 10)}"})
    planner = machine._planner
    assert planner.plans
    known = set(planner.configurations.values())
    assert {plan.configuration for plan in planner.plans.values()} <= known


MAY_RAISE: Any = {"entry": enqueue_actions(lambda call: [])}
"""A function that may raise events which the definition does not name."""


def asks(guard: Any) -> Callable[[int], Config]:
    return lambda n: on_one_state(on={f"GO.{k}": {"guard": guard, "target": "b"} for k in range(n)})


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            lambda n: on_one_state(**MAY_RAISE, on={f"word{k}": "b" for k in range(n)}),
            id="event types",
        ),
        pytest.param(
            lambda n: on_one_state(**MAY_RAISE, on={f"word{k}.x.*": "b" for k in range(n)}),
            id="wildcards",
        ),
        pytest.param(
            lambda n: {
                "initial": "s0",
                "states": {
                    f"s{k}": {**MAY_RAISE, "on": {f"word{k}": f"s{(k + 1) % n}"}} for k in range(n)
                },
            },
            id="event types of many states",
        ),
        pytest.param(asks("g"), id="a named guard"),
        pytest.param(asks({"type": "g"}), id="a named guard as a mapping"),
        pytest.param(asks(not_("g")), id="a named guard inside of another"),
    ],
)
def test_the_cost_of_warnings_grows_with_the_machine_and_the_events(
    config: Callable[[int], Config],
) -> None:
    def prepare(n: int) -> Callable[[], object]:
        # Nothing resembles these, so no warning is found that could end the search.
        events = [f"{k:X}".rjust(12, "~") for k in range(n)] + [f"GO.{k}" for k in range(n)]
        guards = {"g": and_([state_in("a")] * min(n, 900))}
        machine = Machine(cast(MachineConfig, config(n)), guards=guards, events=events)

        def work() -> None:
            assert machine.warnings == ()

        return work

    check_linear(prepare, size=60)
