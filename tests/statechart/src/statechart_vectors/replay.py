"""Runs one case and returns the differences from what it expects."""

import json
from collections.abc import Iterator
from typing import Any

from arvo_statechart import GuardError, Machine, RunResult, Snapshot
from arvo_statechart.typing import Event

from .cases import Case
from .library import Observations, build


def differences(case: Case, *, resumed: bool) -> list[str]:
    """Run a case and return the differences.

    Args:
        case: What to run.
        resumed: Whether the machine is stored as JSON and restored before every event.
    """
    seen = Observations()
    machine = build(case.content["config"], seen, xstate=case.xstate)
    return [
        f"step {number}, {what}: expected {wanted!r}, got {found!r}"
        for number, (expected, actual) in enumerate(
            zip(
                case.expected(resumed=resumed),
                _steps(machine, case.content, seen, resumed=resumed),
                strict=True,
            )
        )
        for what, wanted, found in _compared(expected, actual)
    ]


def _steps(
    machine: Machine, content: dict[str, Any], seen: Observations, *, resumed: bool
) -> Iterator[dict[str, Any]]:
    result = machine.start(content["input"], log=seen.notes.append)
    yield _observed(machine, None, result, seen)
    for event in content["events"]:
        before = _restored(machine, result.snapshot) if resumed else result.snapshot
        seen.clear()
        active = before.status == "active"
        can = {"can": _can(before, event) if active else None}
        result = machine.run(before, event, log=seen.notes.append)
        ignored = {} if active else {"ignored": True}
        yield {**can, **ignored, **_observed(machine, event, result, seen)}


def _restored(machine: Machine, snapshot: Snapshot) -> Snapshot:
    text = json.dumps(machine.persist(snapshot))
    restored = machine.restore(json.loads(text))
    assert json.dumps(machine.persist(restored)) == text
    return restored


def _can(snapshot: Snapshot, event: Event) -> bool | None:
    try:
        return snapshot.can(event)
    except GuardError:
        return None


def _observed(
    machine: Machine, event: Event | None, result: RunResult, seen: Observations
) -> dict[str, Any]:
    meta = {"meta": result.snapshot.meta} if result.snapshot.meta else {}
    return {
        "event": event,
        "snapshot": machine.persist(result.snapshot),
        "tags": sorted(result.snapshot.tags),
        "actions": list(seen.actions),
        "notes": list(seen.notes),
        "emitted": list(result.emitted),
        **meta,
    }


def _compared(
    expected: dict[str, Any], actual: dict[str, Any]
) -> Iterator[tuple[str, object, object]]:
    wanted, found = dict(expected), dict(actual)
    wanted_snapshot, found_snapshot = dict(wanted.pop("snapshot")), dict(found.pop("snapshot"))
    # An error that the event brought along is stored as it is; one that was raised has a message.
    if isinstance(wanted_snapshot.get("error"), dict):
        message = _own_message(wanted_snapshot.pop("error"))
        error = found_snapshot.pop("error", None)
        if message not in str((error or {}).get("message")):
            yield "error", message, error
    if "value" not in wanted_snapshot:
        # A machine that failed while it started has a status and an error, nothing else.
        wanted_snapshot.setdefault("historyValue", {})
        wanted_snapshot.setdefault("children", {})
    # The order of keys is significant in a state value, and only there.
    wanted["value"], found["value"] = (
        json.dumps(snapshot.get("value")) for snapshot in (wanted_snapshot, found_snapshot)
    )
    wanted["tags"] = sorted(wanted["tags"])
    for part in wanted_snapshot.keys() | found_snapshot.keys():
        wanted[f"snapshot.{part}"] = _canonical(wanted_snapshot, part)
        found[f"snapshot.{part}"] = _canonical(found_snapshot, part)
    for part in wanted.keys() | found.keys():
        one, other = _canonical(wanted, part), _canonical(found, part)
        if one != other:
            yield part, one, other


def _own_message(error: dict[str, Any]) -> str:
    """Return what the machine itself said: the words around it are the interpreter's."""
    return str(error["message"]).rpartition(":\n")[2]


def _canonical(parts: dict[str, Any], part: str) -> str:
    return json.dumps(parts[part], sort_keys=True) if part in parts else "(absent)"
