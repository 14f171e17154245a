"""What type checkers make of arvo_statechart. Checked by mypy and basedpyright, never run."""

from datetime import timedelta
from typing import Any, assert_type

from arvo_statechart import (
    BuiltInAction,
    BuiltInGuard,
    Call,
    Machine,
    RunResult,
    ScheduleEffect,
    Snapshot,
    and_,
    assign,
    cancel,
    emit,
    enqueue_actions,
    log,
    not_,
    raise_,
    state_in,
    to_dot,
)
from arvo_statechart.typing import (
    Delay,
    Effect,
    Event,
    MachineConfig,
    StateConfig,
    StateValue,
    TransitionConfig,
)


def is_large(call: Call) -> bool:
    return bool(call.context["total"] > 10)


def book(call: Call) -> None:
    del call


# --- configs ---

pay: TransitionConfig = {
    "target": ["#stock", "#payment"],
    "guard": and_(["is_paid", not_(is_large), {"type": "is_open", "params": {"limit": 3}}]),
    "actions": [book, "book", {"type": "book", "params": lambda call: {"n": call.context["n"]}}],
    "reenter": True,
}
waiting: StateConfig = {"tags": "waiting", "entry": emit({"type": "asked"}), "on": {"PAY": pay}}
order: MachineConfig = {
    "initial": {"target": "waiting", "actions": assign({"n": 0})},
    "context": lambda call: {"total": call.input["total"]},
    "states": {
        "waiting": waiting,
        "open": {"always": {"guard": lambda call: call.context["total"] > 1, "target": "closed"}},
        "last": {"type": "history", "history": "deep"},
        "closed": {"type": "final", "output": lambda call: call.context},
    },
}
machine = Machine(
    order, actions={"book": book, "note": assign({"n": 1})}, guards={"is_paid": is_large}
)

Machine({"options": {"maxIterations": 500}}, xstate="5.24", max_microsteps=10)
Machine({}, xstate="5.3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(machine.provide(actions={"book": log()}), Machine)

typo: StateConfig = {"entyr": "book"}  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportAssignmentType]
target: TransitionConfig = {"target": 1}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
kind: StateConfig = {"type": "compund"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
Machine({}, guards={"is_paid": "paid"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]

# --- delays ---

late: StateConfig = {
    "after": {
        1000: "closed",
        0.5: [{"target": "closed", "guard": is_large}, {"actions": cancel("remind")}],
        "PATIENCE": {"target": "closed", "reenter": True},
    }
}


def computed(call: Call) -> timedelta | None:
    return timedelta(days=1) if call.context["n"] else None


delay: Delay = computed
waiting_machine = Machine(
    {"initial": "late", "states": {"late": late, "closed": {}}},
    delays={"PATIENCE": timedelta(hours=1), "COMPUTED": delay, "SHORT": 10},
)
assert_type(waiting_machine.provide(delays={"SHORT": 0.5}), Machine)
assert_type(raise_({"type": "REMIND"}, delay=5, id="remind"), BuiltInAction)
assert_type(raise_(lambda call: {"type": "REMIND"}, delay="PATIENCE"), BuiltInAction)
assert_type(raise_({"type": "REMIND"}, delay=lambda call: call.event["wait"]), BuiltInAction)
assert_type(cancel(lambda call: "remind"), BuiltInAction)

bare: StateConfig = {"after": {5: ["closed"]}}  # type: ignore[list-item]  # pyright: ignore[reportAssignmentType]
Machine({}, delays={"PATIENCE": "1h"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
raise_({"type": "REMIND"}, delay=[5])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cancel(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- steps ---

snapshot, effects = machine.initial_transition({"total": 1})
assert_type(snapshot, Snapshot)
assert_type(effects, tuple[Effect, ...])
result = machine.run(snapshot, {"type": "PAY"})
assert_type(result, RunResult)
assert_type(result.emitted, tuple[Event, ...])
assert_type(result.output, Any)
assert_type(result.scheduled, tuple[ScheduleEffect, ...])
assert_type(result.cancelled, tuple[str, ...])
assert_type(result.scheduled[0].id, str | None)
assert_type(result.scheduled[0].delay, float)
assert_type(snapshot.value, StateValue)
assert_type(snapshot.tags, frozenset[str])
assert_type(machine.persist(snapshot), dict[str, Any])
assert_type(machine.restore({}), Snapshot)
assert_type(to_dot(machine), str)

machine.run(snapshot, "PAY")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
machine.start(log=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- helpers ---

assert_type(assign({"n": lambda call: call.context["n"] + 1}), BuiltInAction)
assert_type(assign(lambda call: {"n": call.context["n"] + 1}), BuiltInAction)
assert_type(
    enqueue_actions(lambda call: ["book", book] if call.check("is_paid") else None), BuiltInAction
)
assert_type(state_in({"stock": "held"}), BuiltInGuard)
