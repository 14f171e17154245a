"""Machines behave like XState 5.33, or like 5.24 if they are shared with TypeScript Arvo."""

import json
from typing import Any, get_args

import pytest

from arvo_statechart import Call, Machine, MachineDefinitionError, assign, emit, to_dot, to_mermaid
from arvo_statechart.typing import XStateVersion

VERSIONS: tuple[XStateVersion, ...] = get_args(XStateVersion)


def no(call: Call) -> bool:
    return False


def boom(call: Call) -> Any:
    raise RuntimeError("boom")


def values(config: Any, *event_types: str, **settings: Any) -> list[Any]:
    """Return the value after the start and after each event."""
    machine = Machine(config, **settings)
    snapshot = machine.start().snapshot
    found: list[Any] = [snapshot.value]
    for event_type in event_types:
        snapshot = machine.run(snapshot, {"type": event_type}).snapshot
        found.append(snapshot.value)
    return found


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(MachineDefinitionError, match=r"xstate: unknown version '5\.3'") as refused:
        Machine({}, xstate="5.3")  # type: ignore[arg-type]
    assert "'5.33'" in str(refused.value)


class TestWildcardsBesideAnExactKey:
    def of(self, **on: Any) -> dict[str, Any]:
        state = {"on": {key.replace("_", "."): value for key, value in on.items()}}
        return {
            "initial": "a",
            "on": {"*": ".parents"},
            "states": {"a": state, "exact": {}, "any": {}, "some": {}, "parents": {}},
        }

    @pytest.mark.parametrize(
        ("on", "today", "before"),
        [
            ({"*": "any", "x_y": {"target": "exact", "guard": no}}, "any", "parents"),
            ({"*": "any", "x_*": "some", "x_y": {"guard": no}}, "some", "parents"),
            ({"x_*": {"target": "some", "guard": no}, "*": "any", "x_y": []}, "any", "parents"),
            ({"x_y": [{"guard": no}, "exact"], "*": "any"}, "exact", "exact"),
            ({"x_y": {}, "*": "any"}, "a", "a"),
            ({"z_*": "some", "x_y": {"guard": no}}, "parents", "parents"),
            ({"x_y": {"guard": no}, "*": {"guard": no}}, "parents", "parents"),
        ],
    )
    def test_are_tried_when_all_its_guards_fail(self, on: Any, today: str, before: str) -> None:
        assert values(self.of(**on), "x.y", xstate="5.33") == ["a", today]
        assert values(self.of(**on), "x.y", xstate="5.24") == ["a", before]
        assert values(self.of(**on), "x.y") == ["a", today]

    def test_are_tried_for_done_events_too(self) -> None:
        region = {"initial": "x", "states": {"x": {"type": "final"}}}
        done = {**region, "onDone": {"guard": no, "target": "b"}, "on": {"*": "c"}}
        config = {"initial": "a", "states": {"a": done, "b": {}, "c": {}}}
        assert values(config, xstate="5.33") == ["c"]
        assert values(config, xstate="5.24") == [{"a": "x"}]

    def test_a_wildcard_as_an_event_type_is_tried_once(self) -> None:
        asked: list[str] = []

        def counts(call: Call) -> bool:
            asked.append(call.event["type"])
            return False

        config: Any = {"on": {"x.*": {"guard": counts}}}
        values(config, "x.*")
        assert asked == ["x.*"]


OPEN: Any = {
    "id": "m",
    "initial": "away",
    "states": {
        "away": {"on": {"BACK": "open.last"}},
        "open": {
            "type": "parallel",
            "on": {"LEAVE": "away"},
            "states": {
                "p": {"initial": "x", "states": {"x": {"on": {"NEXT": "y"}}, "y": {}}},
                "q": {},
                "last": {"type": "history", "history": "deep"},
            },
        },
    },
}


class TestHistoryOfAParallelState:
    def test_leads_to_the_whole_while_nothing_is_recorded(self) -> None:
        entered = {"open": {"p": "x", "q": {}}}
        assert values(OPEN, "BACK", xstate="5.33") == ["away", entered]
        assert values(OPEN, "BACK", xstate="5.24") == ["away", "away"]

    def test_is_drawn_the_same_way(self) -> None:
        today, before = Machine(OPEN, xstate="5.33"), Machine(OPEN, xstate="5.24")
        assert to_mermaid(today) == to_mermaid(before)
        assert to_dot(today) == to_dot(before)

    def test_leads_to_what_is_recorded(self) -> None:
        [*_, last] = values(OPEN, "BACK", "NEXT", "LEAVE", "BACK")
        assert last == {"open": {"p": "y", "q": {}}}

    @pytest.mark.parametrize("xstate", VERSIONS)
    def test_may_have_the_whole_as_its_target(self, xstate: XStateVersion) -> None:
        config: Any = json.loads(json.dumps(OPEN))
        config["states"]["open"]["states"]["last"]["target"] = "#m.open"
        machine = Machine(config, xstate=xstate)
        assert machine.warnings == ()
        back = machine.run(machine.start().snapshot, {"type": "BACK"}).snapshot
        assert back.value == {"open": {"p": "x", "q": {}}}


FAILING: Any = {
    "id": "m",
    "context": {"n": 1, "items": [1]},
    "tags": "root",
    "meta": {"for": "root"},
    "initial": "a",
    "entry": [assign({"n": 2}), emit({"type": "lost"})],
    "states": {"a": {"tags": "never", "initial": "b", "states": {"b": {"entry": assign(boom)}}}},
}


class TestAFailingFirstStep:
    def test_keeps_the_default_value_and_the_first_context(self) -> None:
        machine = Machine(FAILING)
        result = machine.start()
        assert result.emitted == ()
        assert machine.persist(result.snapshot) == {
            "status": "error",
            "value": {"a": "b"},
            "context": {"n": 1, "items": [1]},
            "historyValue": {},
            "children": {},
            "error": {"name": "RuntimeError", "message": "boom"},
        }

    def test_leaves_only_the_root_active(self) -> None:
        snapshot = Machine(FAILING).start().snapshot
        assert snapshot.tags == frozenset({"root"})
        assert snapshot.meta == {"m": {"for": "root"}}

    def test_keeps_neither_in_5_24(self) -> None:
        machine = Machine(FAILING, xstate="5.24")
        snapshot = machine.start().snapshot
        assert (snapshot.value, snapshot.context, snapshot.tags) == ({}, {}, frozenset())
        stored = machine.persist(snapshot)
        assert stored.keys() == {"status", "historyValue", "children", "error"}

    @pytest.mark.parametrize(
        ("context", "kept"),
        [
            (lambda call: {"n": call.input}, {"n": 7}),
            (boom, {}),
            (lambda call: 5, {}),
        ],
    )
    def test_keeps_what_the_function_of_the_context_made(self, context: Any, kept: Any) -> None:
        config: Any = {**FAILING, "context": context}
        machine = Machine(config)
        snapshot = machine.start(7).snapshot
        assert (snapshot.status, snapshot.value, snapshot.context) == ("error", {"a": "b"}, kept)

    def test_keeps_value_and_context_if_a_guard_fails_or_the_machine_never_rests(self) -> None:
        guarded: Any = {"context": {"n": 1}, "always": {"guard": boom, "actions": []}}
        looping: Any = {"context": {"n": 1}, "always": {"actions": assign({"n": 2})}}
        for config in (guarded, looping):
            snapshot = Machine(config).start().snapshot
            assert (snapshot.status, snapshot.value, snapshot.context) == ("error", {}, {"n": 1})

    @pytest.mark.parametrize("wrote", VERSIONS)
    @pytest.mark.parametrize("reads", VERSIONS)
    def test_either_version_restores_what_the_other_stored(
        self, wrote: XStateVersion, reads: XStateVersion
    ) -> None:
        writer, reader = (Machine(FAILING, xstate=version) for version in (wrote, reads))
        stored = json.loads(json.dumps(writer.persist(writer.start().snapshot)))
        assert reader.persist(reader.restore(stored)) == stored

    def test_an_initial_history_state_is_shown_in_the_value_itself(self) -> None:
        """As in XState: a history state leads on only when it is entered, and a value is not entered."""
        states: Any = {"h": {"type": "history", "target": "a"}, "a": {}}
        machine = Machine({"initial": "h", "states": states, "entry": assign(boom)})
        stored = machine.persist(machine.start().snapshot)
        assert stored["value"] == {"h": {}}
        assert machine.persist(machine.restore(stored)) == stored


EXACT: Any = {
    "initial": "a",
    "states": {
        "a": {"on": {"x.y": [{"guard": no, "target": "b"}], "x.*": "b", "*": "b"}},
        "b": {"initial": "c", "states": {"c": {"type": "final"}}},
    },
}


DONE: Any = {
    "initial": "b",
    "states": {
        "b": {
            "initial": "c",
            "states": {"c": {"type": "final"}},
            "onDone": {"guard": no},
            "on": {"*": {}},
        },
    },
}


EMPTY: Any = {"on": {"x": [], "*": {}}}


HISTORY: Any = {
    "type": "parallel",
    "states": {"p": {"on": {"GO": "h"}}, "h": {"type": "history"}},
}


class TestWarnings:
    """Warnings name the places where the versions differ, unless one was chosen."""

    @pytest.mark.parametrize(
        ("config", "location", "message"),
        [
            (EXACT, "states.a.on['x.y']", "'x.*' and '*' beside it"),
            (DONE, "states.b.onDone", "'*' beside it"),
            (EMPTY, "on.x", "'*' beside it"),
            (HISTORY, "states.h.target", "the whole of '(machine)'"),
        ],
    )
    def test_say_where_and_how_they_differ(self, config: Any, location: str, message: str) -> None:
        (problem,) = Machine(config).warnings
        assert problem.location == location
        assert message in problem.message
        assert problem.message.endswith("choose with xstate='5.33' or xstate='5.24'")
        assert Machine(config, xstate="5.33").warnings == ()

    @pytest.mark.parametrize("config", [EXACT, DONE, EMPTY])
    def test_are_silent_once_5_24_is_chosen(self, config: Any) -> None:
        assert Machine(config, xstate="5.24").warnings == ()

    def test_a_history_state_that_leads_nowhere_stays_doubtful(self) -> None:
        (problem,) = Machine(HISTORY, xstate="5.24").warnings
        assert "leads nowhere without a target" in problem.message

    @pytest.mark.parametrize(
        "on",
        [
            {"x": [{"guard": no}, {}], "*": {}},
            {"x": {"guard": no}, "y.*": {}},
            {"x": {"guard": no}, "*": []},
            {"x.*": {"guard": no}, "*": {}},
        ],
    )
    def test_are_silent_where_the_versions_do_not_differ(self, on: Any) -> None:
        assert Machine({"on": on}).warnings == ()
