"""Runs one case and returns the differences from what it expects."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from arvo_statechart import GuardError, Machine, MachineDefinitionError, RunResult, Snapshot
from arvo_statechart.typing import Event

from .cases import Case
from .clock import Clock, Timer
from .comparison import as_ours, compared
from .library import Observations, build


def differences(case: Case, *, resumed: bool) -> list[str]:
    """Run a case and return the differences.

    Args:
        case: What to run.
        resumed: Whether the machine is stored as JSON and restored before every event and before
            every timer that is due.
    """
    seen = Observations()
    try:
        machine = build(case.content["config"], seen, xstate=case.xstate)
    except MachineDefinitionError as error:
        return [] if case.ours == "definition error" else [f"definition: {error}"]
    run = _Run(machine, seen, resumed=resumed)
    expected = [as_ours(step) for step in case.expected(resumed=resumed)]
    if case.ours == "definition error":
        return ["definition: expected an error, got none"]
    if case.ours == "error in the step":
        return _failing(expected, run.steps(case.content))
    return [
        f"step {number}, {what}: expected {wanted!r}, got {found!r}"
        for number, (step, actual) in enumerate(zip(expected, run.steps(case.content), strict=True))
        for what, wanted, found in compared(step, actual)
    ]


def _failing(expected: list[dict[str, Any]], actual: Iterator[dict[str, Any]]) -> list[str]:
    """Return the differences of a case whose last step fails here, but not in XState."""
    *before, failing = actual
    unequal = [each for pair in zip(expected, before, strict=False) for each in compared(*pair)]
    status = failing["snapshot"]["status"]
    return [*map(repr, unequal), *([] if status == "error" else [f"status: {status!r}"])]


class _Run:
    """A machine with its host, which keeps the time and the timers."""

    def __init__(self, machine: Machine, seen: Observations, *, resumed: bool) -> None:
        self._machine = machine
        self._seen = seen
        self._resumed = resumed
        self._clock = Clock()

    def steps(self, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what is observed of each step."""
        timed = isinstance(content["expected"][0].get("timers"), list)
        result = self._kept(self._machine.start(content["input"], log=self._seen.notes.append))
        yield self._observed(None, result, timed=timed)
        for event in content["events"]:
            self._seen.clear()
            snapshot = result.snapshot
            can = {"can": self._can(snapshot, event)} if "type" in event else {}
            ignored = {} if snapshot.status == "active" else {"ignored": True}
            result, fired = self._handled(snapshot, event)
            yield {**can, **ignored, **fired, **self._observed(event, result, timed=timed)}

    def _handled(self, snapshot: Snapshot, event: Event) -> tuple[RunResult, dict[str, Any]]:
        match event:
            case {"advance": ms}:
                return self._fired(snapshot, self._clock.advance(ms))
            case {"jump": ms}:
                return self._fired(snapshot, self._clock.jump(ms))
            case _:
                return self._taken(snapshot, event), {}

    def _fired(self, snapshot: Snapshot, due: Iterable[Timer]) -> tuple[RunResult, dict[str, Any]]:
        """Send the events that are due, and return the last result with all emitted events."""
        fired = []
        emitted: list[Event] = []
        for timer in due:
            fired.append({"type": timer.event["type"], "at": timer.at, "now": self._clock.now})
            result = self._taken(snapshot, timer.event)
            snapshot = result.snapshot
            emitted += result.emitted
        return RunResult(snapshot=snapshot, emitted=tuple(emitted)), {"fired": fired}

    def _taken(self, snapshot: Snapshot, event: Event) -> RunResult:
        before = self._before(snapshot)
        return self._kept(self._machine.run(before, event, log=self._seen.notes.append))

    def _kept(self, result: RunResult) -> RunResult:
        self._clock.keep(result)
        return result

    def _before(self, snapshot: Snapshot) -> Snapshot:
        return _restored(self._machine, snapshot) if self._resumed else snapshot

    def _can(self, snapshot: Snapshot, event: Event) -> bool | None:
        try:
            return self._before(snapshot).can(event) if snapshot.status == "active" else None
        except GuardError:
            return None

    def _observed(self, event: Event | None, result: RunResult, *, timed: bool) -> dict[str, Any]:
        snapshot = result.snapshot
        meta = {"meta": snapshot.meta} if snapshot.meta else {}
        pending = [timer.described() for timer in self._clock.pending]
        return {
            "event": event,
            "snapshot": self._machine.persist(snapshot),
            "tags": sorted(snapshot.tags),
            "actions": list(self._seen.actions),
            "notes": list(self._seen.notes),
            "emitted": list(result.emitted),
            **meta,
            **({"time": self._clock.now, "timers": pending} if timed else {}),
        }


def _restored(machine: Machine, snapshot: Snapshot) -> Snapshot:
    text = json.dumps(machine.persist(snapshot))
    restored = machine.restore(json.loads(text))
    assert json.dumps(machine.persist(restored)) == text
    return restored
