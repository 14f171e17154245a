"""Compares what a machine did in a step with what the case says."""

import json
import math
from collections.abc import Iterator
from typing import Any


def as_ours(step: dict[str, Any]) -> dict[str, Any]:
    """Return an expected step with its times rounded up to whole ms."""
    return {
        **step,
        **{key: list(map(_rounded, step[key])) for key in step.keys() & {"timers", "fired"}},
    }


def _rounded(timer: dict[str, Any]) -> dict[str, Any]:
    times = {key: timer[key] for key in ("at", "now") if isinstance(timer.get(key), int | float)}
    return {**timer, **{key: math.ceil(time) for key, time in times.items()}}


def compared(
    expected: dict[str, Any], actual: dict[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Yield what differs in a step: its name, and the expected and the actual value."""
    wanted, found = dict(expected), dict(actual)
    wanted_snapshot, found_snapshot = dict(wanted.pop("snapshot")), dict(found.pop("snapshot"))
    # An error from the event is stored unchanged; one that was raised is stored with a message.
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
    """Return the machine's own message, without what the interpreter puts before it."""
    return str(error["message"]).rpartition(":\n")[2]


def _canonical(parts: dict[str, Any], part: str) -> str:
    return json.dumps(parts[part], sort_keys=True) if part in parts else "(absent)"
