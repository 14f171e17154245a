"""Properties of every machine, checked with random ones."""

import json
from collections.abc import Mapping
from typing import Any, cast

from hypothesis import given, settings, strategies as st

from arvo_statechart import (
    Call,
    CancelEffect,
    Machine,
    RunResult,
    ScheduleEffect,
    Snapshot,
    StatechartError,
    and_,
    assign,
    cancel,
    emit,
    enqueue_actions,
    log,
    not_,
    or_,
    raise_,
    state_in,
)
from arvo_statechart.typing import Action, Event, Guard, MachineConfig


class Failure(Exception):
    """Raised by the machines on purpose."""


EVENT_TYPES = ["A", "B", "C.d", "C.e"]
DESCRIPTORS = [*EVENT_TYPES, "C.*", "*"]
KEYS = ["s1", "s2", "s3", "10", "2"]


def fail(call: Call) -> Any:
    raise Failure(call.event["type"])


def count(call: Call) -> dict[str, Any]:
    return {"n": call.context["n"] + 1}


ACTIONS: dict[str, Any] = {
    "count": assign(count),
    "emit": emit(lambda call: {"type": "out", "n": call.context["n"]}),
    "raise": raise_({"type": "A"}),
    "later": raise_({"type": "B"}, delay=15, id="x"),
    "soon": raise_(lambda call: {"type": "C.d", "n": call.context["n"]}, delay="SOON"),
    "cancel": cancel("x"),
    "log": log(lambda call: call.context["n"]),
    "note": lambda call: None,
    "fail": fail,
    "fail_assign": assign(fail),
    "choose": enqueue_actions(lambda call: ["count"] if call.check("even") else ["emit", "note"]),
}
GUARDS: dict[str, Any] = {
    "even": lambda call: call.context["n"] % 2 == 0,
    "few": lambda call: call.context["n"] < 4,
    "fail": fail,
}
DELAYS: dict[str, Any] = {"SOON": lambda call: 5 * call.context["n"] or None}

# Those that fail are rare, so that most machines live for a few steps.
actions: st.SearchStrategy[list[Action]] = st.lists(
    st.sampled_from([*sorted(ACTIONS), "count", "emit", "emit", "choose"]), max_size=2
).map(lambda names: [name for name in names if "fail" not in name or len(names) == 2])


def guards(ids: list[str]) -> st.SearchStrategy[Guard]:
    simple = st.sampled_from(["even", "few", "even", "few", "even", "fail"])
    places = st.sampled_from(ids).map(lambda state_id: state_in(f"#{state_id}"))
    base: st.SearchStrategy[Guard] = st.one_of(simple, simple, places)
    return st.one_of(
        base,
        base.map(not_),
        st.lists(base, max_size=2).map(and_),
        st.lists(base, max_size=2).map(or_),
    )


@st.composite
def trees(draw: st.DrawFn, depth: int = 0, *, parallel: bool = True) -> dict[str, Any]:
    """Draw states without transitions; every compound state has an initial child."""
    kinds = ["atomic", "compound"] if depth else ["compound"]
    if depth and depth < 3:
        kinds += ["compound", "final"]
    if parallel and depth < 3:
        kinds.append("parallel")
    kind = draw(st.sampled_from(kinds)) if depth < 3 else "atomic"
    state: dict[str, Any] = {"entry": draw(actions), "exit": draw(actions)}
    if kind == "final":
        state["type"] = "final"
    if kind in {"compound", "parallel"}:
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
        children = {key: draw(trees(depth + 1, parallel=parallel)) for key in keys}
        if kind == "parallel":
            state["type"] = "parallel"
        else:
            state["initial"] = {"target": draw(st.sampled_from(keys)), "actions": draw(actions)}
        if draw(st.booleans()):
            depth_kept = draw(st.sampled_from(["shallow", "deep"]))
            history = {"type": "history", "history": depth_kept}
            if draw(st.booleans()):
                history["target"] = draw(st.sampled_from(keys))
            children["h"] = history
        state["states"] = children
    return state


def ids_of(state: Mapping[str, Any], state_id: str = "m") -> list[str]:
    below = state.get("states", {}).items()
    return [
        state_id,
        *(found for key, child in below for found in ids_of(child, f"{state_id}.{key}")),
    ]


@st.composite
def machines(draw: st.DrawFn, *, parallel: bool = True) -> MachineConfig:
    """Draw the definition of a machine that passes the checks."""
    root = draw(trees(parallel=parallel))
    ids = ids_of(root)
    targets = [f"#{state_id}" for state_id in ids]

    def transition(*, guarded: bool) -> dict[str, Any]:
        config: dict[str, Any] = {"actions": draw(actions)}
        if draw(st.integers(0, 3)):
            config["target"] = draw(st.sampled_from(targets))
            config["reenter"] = draw(st.booleans())
        if guarded or draw(st.booleans()):
            config["guard"] = draw(guards(ids))
        return config

    def connect(state: dict[str, Any]) -> None:
        if state.get("type") in {"history", "final"}:
            return
        descriptors = draw(st.lists(st.sampled_from(DESCRIPTORS), max_size=3, unique=True))
        state["on"] = {
            descriptor: [transition(guarded=False) for _ in range(draw(st.integers(1, 2)))]
            for descriptor in descriptors
        }
        if not draw(st.integers(0, 4)):
            state["always"] = transition(guarded=True)
        if not draw(st.integers(0, 2)):
            keys = draw(st.lists(st.sampled_from([0, 10, "20", "SOON"]), max_size=2, unique=True))
            state["after"] = {key: transition(guarded=False) for key in keys}
        if state is not root and "states" in state and not draw(st.integers(0, 2)):
            state["onDone"] = transition(guarded=False)
        for child in state.get("states", {}).values():
            connect(child)

    connect(root)
    return cast(MachineConfig, {**root, "id": "m", "context": {"n": 0}})


events = st.lists(st.sampled_from(EVENT_TYPES).map(lambda name: {"type": name}), max_size=6)


def build(config: MachineConfig) -> Machine:
    return Machine(config, actions=ACTIONS, guards=GUARDS, delays=DELAYS, max_microsteps=60)


def ignore(message: object) -> None:
    del message


def observed(machine: Machine, result: RunResult) -> str:
    timers = [(timer.id, timer.event, timer.delay) for timer in result.scheduled]
    stored = machine.persist(result.snapshot)
    return json.dumps([stored, list(result.emitted), timers, list(result.cancelled)])


def stored_and_restored(machine: Machine, snapshot: Snapshot) -> Snapshot:
    return machine.restore(json.loads(json.dumps(machine.persist(snapshot))))


class Host:
    """Keeps the timers of a machine, and lets time pass."""

    def __init__(self, machine: Machine, *, resumed: bool) -> None:
        self._machine = machine
        self._resumed = resumed
        self._now = 0
        self._pending: list[tuple[float, str | None, Event]] = []
        self.seen: list[str] = []
        self._keep(machine.start(log=ignore))

    def send(self, event: Event) -> None:
        """Process an event."""
        before = self._snapshot
        if self._resumed:
            before = stored_and_restored(self._machine, before)
        self._keep(self._machine.run(before, event, log=ignore))

    def wait(self, ms: int) -> None:
        """Let time pass, and send the events that are due in order, 10 at most."""
        end = self._now + ms
        for _ in range(10):
            if not self._pending or min(self._pending, key=lambda timer: timer[0])[0] > end:
                break
            due = min(self._pending, key=lambda timer: timer[0])
            self._pending.remove(due)
            self._now = max(self._now, int(due[0]))
            self.send(due[2])
        self._now = end

    def _keep(self, result: RunResult) -> None:
        self._snapshot = result.snapshot
        self.seen.append(observed(self._machine, result))
        gone = {*result.cancelled, *(timer.id for timer in result.scheduled)} - {None}
        active = result.snapshot.status == "active"
        self._pending = [timer for timer in self._pending if active and timer[1] not in gone]
        for timer in result.scheduled:
            self._pending.append((self._now + timer.delay, timer.id, timer.event))


def is_ordinary(snapshot: Snapshot) -> bool:
    """Return whether the root is active, and no compound state has two active children.

    History states can bring about the opposite; then storing shows less than there was.
    """
    nodes = snapshot._configuration.nodes
    parents = [node.parent for node in nodes if node.parent and node.parent.type == "compound"]
    return bool(nodes) and len(parents) == len(set(parents))


@given(machines(), events)
def test_machines_raise_only_documented_errors(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    machine = build(config)
    result = machine.start(log=ignore)
    for event in sent:
        result = machine.run(result.snapshot, event, log=ignore)
        if result.snapshot.status == "error":
            assert isinstance(result.error, Failure | StatechartError)


@given(machines(), events)
def test_pure_steps_equal_those_of_a_host_until_something_fails(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    machine = build(config)
    result = machine.start(log=ignore)
    for event in sent:
        before = result.snapshot
        result = machine.run(before, event, log=ignore)
        if result.snapshot.status == "error":
            break
        if before.status == "active":
            pure, _ = machine.transition(before, event)
            assert machine.persist(pure) == machine.persist(result.snapshot)


@given(machines(), events)
def test_a_restored_snapshot_is_stored_as_before(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    machine = build(config)
    result = machine.start(log=ignore)
    for event in sent:
        snapshot = result.snapshot
        restored = stored_and_restored(machine, snapshot)
        if is_ordinary(snapshot):
            assert machine.persist(restored) == machine.persist(snapshot)
            assert json.dumps(restored.value) == json.dumps(snapshot.value)
        again = stored_and_restored(machine, restored)
        assert json.dumps(machine.persist(again)) == json.dumps(machine.persist(restored))
        result = machine.run(snapshot, event, log=ignore)


@given(machines(parallel=False), events)
def test_without_parallel_states_a_resumed_machine_behaves_as_a_live_one(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    machine = build(config)
    live = resumed = machine.start(log=ignore)
    for event in sent:
        live = machine.run(live.snapshot, event, log=ignore)
        resumed = machine.run(stored_and_restored(machine, resumed.snapshot), event, log=ignore)
        assert observed(machine, resumed) == observed(machine, live)


@settings(max_examples=50)
@given(machines(parallel=False), st.lists(st.sampled_from([*EVENT_TYPES, 0, 5, 20]), max_size=8))
def test_without_parallel_states_timers_outlive_being_stored(
    config: MachineConfig, steps: list[str | int]
) -> None:
    live, resumed = (Host(build(config), resumed=stored) for stored in (False, True))
    for step in steps:
        for host in (live, resumed):
            if isinstance(step, int):
                host.wait(step)
            else:
                host.send({"type": step})
    assert resumed.seen == live.seen


@settings(max_examples=50)
@given(machines(), events)
def test_timers_of_pure_steps_are_those_of_a_host(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    machine = build(config)
    result = machine.start(log=ignore)
    for event in sent:
        before = result.snapshot
        result = machine.run(before, event, log=ignore)
        if result.snapshot.status != "active":
            assert (result.scheduled, result.cancelled) == ((), ())
            break
        pending: list[ScheduleEffect] = []
        cancelled: list[str] = []
        for effect in machine.transition(before, event)[1]:
            match effect:
                case ScheduleEffect(id=name) if name is not None:
                    pending = [timer for timer in pending if timer.id != name] + [effect]
                case ScheduleEffect():
                    pending.append(effect)
                case CancelEffect(id=name):
                    pending = [timer for timer in pending if timer.id != name]
                    cancelled.append(name)
                case _:
                    pass
        assert list(result.scheduled) == pending
        assert set(result.cancelled) == set(cancelled)


@given(machines(), events)
def test_with_the_same_order_of_states_a_resumed_machine_behaves_as_a_live_one(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    machine = build(config)
    live = machine.start(log=ignore)
    for event in sent:
        restored = stored_and_restored(machine, live.snapshot)
        after = machine.run(live.snapshot, event, log=ignore)
        if restored._configuration.nodes == live.snapshot._configuration.nodes:
            resumed = machine.run(restored, event, log=ignore)
            assert observed(machine, resumed) == observed(machine, after)
        live = after


@given(machines(), events)
def test_a_machine_with_filled_caches_behaves_as_a_new_one(
    config: MachineConfig, sent: list[dict[str, Any]]
) -> None:
    known = build(config)
    for _ in range(2):
        result = known.start(log=ignore)
        for event in sent:
            new = build(config)
            restored = stored_and_restored(known, result.snapshot)
            again = stored_and_restored(new, new.restore(known.persist(result.snapshot)))
            result = known.run(restored, event, log=ignore)
            assert observed(new, new.run(again, event, log=ignore)) == observed(known, result)


@given(machines(), events)
@settings(max_examples=20)
def test_steps_do_not_change_snapshots(config: MachineConfig, sent: list[dict[str, Any]]) -> None:
    machine = build(config)
    result = machine.start(log=ignore)
    texts: list[tuple[Snapshot, str]] = []
    for event in sent:
        texts.append((result.snapshot, json.dumps(machine.persist(result.snapshot))))
        result = machine.run(result.snapshot, event, log=ignore)
    for snapshot, text in texts:
        assert json.dumps(machine.persist(snapshot)) == text
