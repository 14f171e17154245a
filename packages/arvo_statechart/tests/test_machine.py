import json
import logging
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from arvo_statechart import (
    ActionEffect,
    Call,
    EmitEffect,
    GuardError,
    InvalidEventError,
    InvalidResultError,
    InvalidSnapshotError,
    LogEffect,
    Machine,
    MachineDefinitionError,
    MicrostepLimitError,
    assign,
    emit,
    log,
    raise_,
)
from arvo_statechart.typing import Event, MachineConfig

LIGHT: MachineConfig = {
    "id": "light",
    "version": "2",
    "initial": "off",
    "states": {"off": {"on": {"TOGGLE": "on"}}, "on": {"on": {"TOGGLE": "off"}}},
}
TOGGLE: Event = {"type": "TOGGLE"}


def boom(call: Call) -> Any:
    raise RuntimeError("boom")


def test_a_machine_knows_its_id_and_version() -> None:
    light = Machine(LIGHT)
    assert (light.id, light.version) == ("light", "2")
    assert (Machine({}).id, Machine({}).version) == ("(machine)", None)


def test_each_start_has_a_context_of_its_own() -> None:
    machine = Machine({"context": {"items": [{"n": 1}]}})
    first = machine.start().snapshot
    first.context["items"][0]["n"] = 2
    assert machine.start().snapshot.context == {"items": [{"n": 1}]}


def test_threads_share_a_machine() -> None:
    light = Machine(LIGHT)

    def toggle(times: int) -> Any:
        snapshot = light.start().snapshot
        for _ in range(times):
            snapshot = light.run(snapshot, TOGGLE).snapshot
        return snapshot.value

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(toggle, range(200)))
    assert values == ["off", "on"] * 100


class TestPureSteps:
    def test_perform_nothing(self) -> None:
        calls: list[Any] = []
        machine = Machine(
            {
                "context": {"n": 0},
                "entry": [emit({"type": "out"}), "book", log("started")],
                "on": {"GO": {"actions": {"type": "book", "params": {"n": 1}}}},
            },
            actions={"book": lambda call: calls.append(call.params.get("n"))},
        )
        snapshot, effects = machine.initial_transition()
        emitted, booked, logged = effects
        assert isinstance(emitted, EmitEffect)
        assert emitted.event == {"type": "out"}
        assert isinstance(booked, ActionEffect)
        assert (booked.type, booked.call.params) == ("book", {})
        assert logged == LogEffect(message="started")
        _, (later,) = machine.transition(snapshot, {"type": "GO"})
        assert calls == []
        assert isinstance(later, ActionEffect)
        later.perform()
        assert calls == [1]

    def test_let_errors_propagate(self) -> None:
        machine = Machine({"on": {"ACT": {"actions": assign(boom)}, "ASK": {"guard": boom}}})
        snapshot, _ = machine.initial_transition()
        with pytest.raises(RuntimeError, match="boom"):
            machine.transition(snapshot, {"type": "ACT"})
        with pytest.raises(GuardError, match="boom"):
            machine.transition(snapshot, {"type": "ASK"})
        with pytest.raises(RuntimeError, match="boom"):
            Machine({"context": boom}).initial_transition()

    def test_ignore_the_status(self) -> None:
        machine = Machine(
            {
                "initial": "end",
                "context": {"n": 0},
                "on": {"GO": {"actions": assign({"n": 1})}},
                "states": {"end": {"type": "final"}},
            }
        )
        done, _ = machine.initial_transition()
        after, _ = machine.transition(done, {"type": "GO"})
        assert (after.status, after.context) == ("done", {"n": 1})
        assert machine.run(done, {"type": "GO"}).snapshot is done

    def test_return_the_same_snapshot_if_nothing_is_enabled(self) -> None:
        light = Machine(LIGHT)
        snapshot, _ = light.initial_transition()
        assert light.transition(snapshot, {"type": "OTHER"}) == (snapshot, ())


class TestRun:
    def test_performs_actions_in_their_places(self) -> None:
        notes: list[Any] = []
        machine = Machine(
            {
                "context": {"n": 0},
                "on": {
                    "GO": {
                        "actions": [
                            lambda call: notes.append(call.context["n"]),
                            assign({"n": 1}),
                            log(lambda call: call.context["n"]),
                            emit(lambda call: {"type": "out", "n": call.context["n"]}),
                        ]
                    }
                },
            }
        )
        result = machine.run(machine.start().snapshot, {"type": "GO"}, log=notes.append)
        assert notes == [0, 1]
        assert result.emitted == ({"type": "out", "n": 1},)

    def test_a_failure_leaves_the_state_unchanged(self) -> None:
        notes: list[str] = []
        machine = Machine(
            {
                "context": {"n": 0},
                "initial": "a",
                "states": {
                    "a": {
                        "on": {
                            "GO": {
                                "target": "b",
                                "actions": [
                                    assign({"n": 1}),
                                    emit({"type": "lost"}),
                                    lambda call: notes.append("ran"),
                                    boom,
                                ],
                            }
                        }
                    },
                    "b": {},
                },
            }
        )
        result = machine.run(machine.start().snapshot, {"type": "GO"})
        assert (result.snapshot.value, result.snapshot.context) == ("a", {"n": 0})
        assert result.snapshot.status == "error"
        assert str(result.error) == "boom"
        assert (result.emitted, result.done, result.output) == ((), False, None)
        assert notes == ["ran"]
        assert machine.run(result.snapshot, {"type": "GO"}).snapshot is result.snapshot

    def test_a_guard_that_fails_is_named(self) -> None:
        machine = Machine(
            {
                "id": "m",
                "initial": "a",
                "states": {"a": {"on": {"GO": {"target": "b", "guard": "asks"}}}, "b": {}},
            },
            guards={"asks": boom},
        )
        error = machine.run(machine.start().snapshot, {"type": "GO"}).error
        assert isinstance(error, GuardError)
        assert (error.guard, error.event_type, error.state) == ("asks", "GO", "m.a")
        assert str(error).endswith(": boom")
        assert isinstance(error.__cause__, RuntimeError)

    def test_a_guard_that_fails_without_an_event_is_not_wrapped(self) -> None:
        machine = Machine(
            {
                "initial": "a",
                "states": {
                    "a": {"on": {"GO": "b"}},
                    "b": {"always": {"target": "a", "guard": boom}},
                },
            }
        )
        assert type(machine.run(machine.start().snapshot, {"type": "GO"}).error) is RuntimeError

    def test_a_done_machine_has_its_output(self) -> None:
        machine = Machine(
            {
                "initial": "a",
                "output": lambda call: {"got": call.event["output"]},
                "states": {"a": {"on": {"GO": "b"}}, "b": {"type": "final", "output": [1]}},
            }
        )
        result = machine.run(machine.start().snapshot, {"type": "GO"})
        assert result.done
        assert result.output == {"got": [1]}

    def test_a_machine_can_be_stopped(self) -> None:
        light = Machine(LIGHT)
        stopped = light.run(light.start().snapshot, {"type": "xstate.stop"}).snapshot
        assert stopped.status == "stopped"
        assert light.run(stopped, TOGGLE).snapshot is stopped

    def test_init_from_outside_only_looks_for_eventless_transitions(self) -> None:
        machine = Machine(
            {
                "initial": "a",
                "states": {
                    "a": {"on": {"*": "wrong"}, "always": {"guard": "now", "target": "b"}},
                    "b": {},
                    "wrong": {},
                },
            },
            guards={"now": lambda call: call.event.get("again", False)},
        )
        event = {"type": "xstate.init", "again": True}
        assert machine.run(machine.start().snapshot, event).snapshot.value == "b"

    def test_an_unhandled_error_of_an_actor_ends_the_machine(self) -> None:
        light = Machine(LIGHT)
        event = {"type": "xstate.error.actor.x", "error": {"code": 1}}
        failed = light.run(light.start().snapshot, event).snapshot
        assert (failed.status, failed.error) == ("error", {"code": 1})
        bare = light.run(light.start().snapshot, {"type": "xstate.error.actor.x"}).snapshot
        assert (bare.status, bare.error) == ("error", None)
        assert "error" not in light.persist(bare)

    @pytest.mark.parametrize("event", [{}, {"type": 1}, "GO", None, ["type"]])
    def test_refuses_what_is_not_an_event(self, event: Any) -> None:
        light = Machine(LIGHT)
        with pytest.raises(InvalidEventError, match="'type'"):
            light.run(light.start().snapshot, event)

    def test_refuses_the_snapshot_of_another_machine(self) -> None:
        light, other = Machine(LIGHT), Machine({"id": "other"})
        with pytest.raises(
            InvalidSnapshotError, match=r"expected one of machine 'light', got .* 'other'"
        ):
            light.run(other.start().snapshot, TOGGLE)

    def test_messages_go_to_the_logger_of_the_package(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "arvo_statechart")
        machine = Machine({"entry": log("hello"), "on": {"GO": {"actions": log("again")}}})
        machine.run(machine.start().snapshot, {"type": "GO"})
        assert [record.message for record in caplog.records] == ["hello", "again"]


class TestStart:
    def test_the_context_is_made_from_the_input(self) -> None:
        machine = Machine({"context": lambda call: {"items": call.input["items"]}})
        assert machine.start({"items": [1]}).snapshot.context == {"items": [1]}

    def test_actions_see_the_input(self) -> None:
        machine = Machine({"entry": assign({"given": lambda call: call.input})})
        assert machine.start(7).snapshot.context == {"given": 7}

    def test_an_action_that_fails_keeps_the_snapshot_and_drops_the_rest(self) -> None:
        notes: list[str] = []
        machine = Machine(
            {
                "context": {"n": 0},
                "entry": [
                    emit({"type": "lost"}),
                    lambda call: notes.append("ran"),
                    boom,
                    lambda call: notes.append("dropped"),
                    assign({"n": 1}),
                ],
            }
        )
        result = machine.start()
        assert (result.snapshot.status, result.snapshot.context) == ("error", {"n": 1})
        assert (result.emitted, notes) == ((), ["ran"])

    @pytest.mark.parametrize("made", [None, [1], "text"])
    def test_a_context_is_a_dict(self, made: Any) -> None:
        machine = Machine({"context": lambda call: made})
        assert isinstance(machine.start().error, InvalidResultError)


class TestMicrostepLimit:
    def test_an_always_that_stays_enabled_ends_with_a_clear_error(self) -> None:
        machine = Machine(
            {
                "id": "loop",
                "initial": "a",
                "states": {
                    "a": {"on": {"GO": "b"}},
                    "b": {"always": {"actions": assign({"n": 1})}},
                },
            },
            max_microsteps=25,
        )
        error = machine.run(machine.start().snapshot, {"type": "GO"}).error
        assert isinstance(error, MicrostepLimitError)
        assert error.limit == 25
        assert "'GO'" in str(error)
        assert "'loop'" in str(error)

    def test_events_that_raise_each_other_end_with_a_clear_error(self) -> None:
        machine = Machine(
            {
                "on": {
                    "PING": {"actions": raise_({"type": "PONG"})},
                    "PONG": {"actions": raise_({"type": "PING"})},
                }
            }
        )
        error = machine.run(machine.start().snapshot, {"type": "PING"}).error
        assert isinstance(error, MicrostepLimitError)

    def test_as_many_microsteps_as_allowed_are_accepted(self) -> None:
        config: MachineConfig = {
            "context": {"n": 0},
            "always": {
                "guard": lambda call: call.context["n"] < 9,
                "actions": assign({"n": lambda call: call.context["n"] + 1}),
            },
        }
        assert Machine(config, max_microsteps=10).start().snapshot.context == {"n": 9}
        assert Machine(config, max_microsteps=9).start().snapshot.status == "error"

    def test_the_limit_may_be_given_in_the_config_as_for_xstate(self) -> None:
        config: MachineConfig = {
            "context": {"n": 0},
            "options": {"maxIterations": 10},
            "on": {"MORE": {"actions": assign({"n": 1})}},
            "always": {
                "guard": lambda call: call.context["n"] < 9,
                "actions": assign({"n": lambda call: call.context["n"] + 1}),
            },
        }
        machine = Machine(config)
        assert machine.start().snapshot.context == {"n": 9}
        started = machine.resolve({}, context={"n": 9})
        # The microstep of the event itself does not count, but the last search does.
        assert machine.run(started, {"type": "MORE"}).snapshot.context == {"n": 9}
        config["options"] = {"maxIterations": 9}
        error = Machine(config).start().error
        assert isinstance(error, MicrostepLimitError)
        assert error.limit == 9

    @pytest.mark.parametrize(("limit", "context"), [(12, {"n": 9}), (math.inf, {"n": 9})])
    def test_the_argument_overrides_the_config(self, limit: float, context: Any) -> None:
        config: MachineConfig = {
            "context": {"n": 0},
            "options": {"maxIterations": 2},
            "always": {
                "guard": lambda call: call.context["n"] < 9,
                "actions": assign({"n": lambda call: call.context["n"] + 1}),
            },
        }
        assert Machine(config, max_microsteps=limit).start().snapshot.context == context

    def test_the_limit_may_be_infinite(self) -> None:
        config: MachineConfig = {
            "context": {"n": 0},
            "options": {"maxIterations": math.inf},
            "always": {
                "guard": lambda call: call.context["n"] < 10_001,
                "actions": assign({"n": lambda call: call.context["n"] + 1}),
            },
        }
        assert Machine(config).start().snapshot.context == {"n": 10_001}

    def test_raised_events_that_no_state_takes_count_as_in_xstate(self) -> None:
        raised = [raise_({"type": f"E{number}"}) for number in range(5)]
        config: MachineConfig = {"on": {"GO": {"actions": raised}}}
        machine = Machine(config, max_microsteps=6)
        assert machine.run(machine.start().snapshot, {"type": "GO"}).error is None
        machine = Machine(config, max_microsteps=5)
        error = machine.run(machine.start().snapshot, {"type": "GO"}).error
        assert isinstance(error, MicrostepLimitError)


DOOR: MachineConfig = {
    "id": "door",
    "context": {"n": 0},
    "on": {"KNOCK": {"guard": "expected", "actions": ["count", "open"]}},
}


class TestProvide:
    def door(self, **settings: Any) -> Machine:
        return Machine(
            DOOR,
            actions={
                "count": assign({"n": lambda call: call.context["n"] + 1}),
                "open": emit({"type": "opened"}),
            },
            guards={"expected": lambda call: call.event.get("name") == "Ann"},
            **settings,
        )

    def test_replaces_implementations(self) -> None:
        door = self.door()
        public = door.provide(guards={"expected": lambda call: True})
        silent = public.provide(actions={"open": lambda call: None})
        bob: Event = {"type": "KNOCK", "name": "Bob"}
        results = [each.run(each.start().snapshot, bob) for each in (door, public, silent)]
        assert [len(result.emitted) for result in results] == [0, 1, 0]
        assert [result.snapshot.context["n"] for result in results] == [0, 1, 1]

    def test_keeps_the_other_settings(self) -> None:
        door = self.door(max_microsteps=7, xstate="5.24").provide()
        assert (door.id, door._chart.max_microsteps) == ("door", 7)
        assert not door._chart.rules.tries_wildcards_after_exact

    @pytest.mark.parametrize("pack", [iter, list, set, dict.fromkeys])
    def test_keeps_the_events_of_any_iterable(
        self, pack: Callable[[list[str]], Iterable[str]]
    ) -> None:
        door = self.door(events=pack(["KNOCK"]))
        other = self.door(events=pack(["RING"]))
        assert door.provide().provide().warnings == door.warnings == ()
        assert other.provide().provide().warnings == other.warnings != ()

    def test_refuses_invalid_implementations(self) -> None:
        with pytest.raises(MachineDefinitionError, match="not an action"):
            self.door().provide(actions={"open": 5})  # type: ignore[dict-item]

    def test_snapshots_are_moved_by_persist_and_restore(self) -> None:
        door = self.door()
        public = door.provide()
        with pytest.raises(InvalidSnapshotError):
            public.run(door.start().snapshot, {"type": "KNOCK"})
        restored = public.restore(door.persist(door.start().snapshot))
        assert public.run(restored, {"type": "KNOCK", "name": "Ann"}).snapshot.context == {"n": 1}


def test_many_configurations_stay_within_the_caches() -> None:
    regions: Any = {
        f"r{number}": {
            "initial": "off",
            "states": {
                "off": {"on": {f"E{number}": "on"}},
                "on": {"on": {f"E{number}": "off"}},
            },
        }
        for number in range(11)
    }
    machine = Machine({"type": "parallel", "states": regions})
    snapshot = machine.start().snapshot
    for number in range(2**11):
        changed = (number ^ (number + 1)).bit_length() - 1
        snapshot = machine.run(snapshot, {"type": f"E{min(changed, 10)}"}).snapshot
        snapshot = machine.restore(json.loads(json.dumps(machine.persist(snapshot))))
    assert len(machine._planner.configurations) <= 1024
    assert len(machine._planner.restored) <= 1024
    for number in range(300):
        machine.run(snapshot, {"type": f"unknown{number}"})
    assert len(snapshot._configuration.selectors) <= 128


def test_an_output_may_be_a_value() -> None:
    done: MachineConfig = {"initial": "a", "states": {"a": {"type": "final"}}, "output": 5}
    assert Machine(done).start().output == 5


def test_an_empty_target_counts_as_no_target() -> None:
    config: MachineConfig = {"initial": "a", "states": {"a": {"on": {"GO": {"target": ""}}}}}
    assert not Machine(config).start().snapshot.can({"type": "GO"})


def test_a_done_event_of_a_state_whose_id_is_a_wildcard_is_taken() -> None:
    below = {"initial": "x", "states": {"x": {"type": "final"}}}
    config: Any = {"initial": "a", "states": {"a": {"id": "a.*", "onDone": "b", **below}, "b": {}}}
    machine = Machine(config)
    assert machine.start().snapshot.value == "b"
    snapshot = machine.resolve("a")
    assert snapshot.can({"type": "xstate.done.state.a.b"})
