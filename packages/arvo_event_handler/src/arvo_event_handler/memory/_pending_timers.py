"""The pending timers of a workflow, as its record keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue

from arvo_event_handler._errors import UnreadableRecordError

from ._kept_event import WireEvent
from ._next_timer import NextTimer

TIMERS: Final = "timers"
"""The member of a record that holds its pending timers, by key, in the order of setting."""
TIMER_DUE: Final = "arvo.timer.due"
"""The type of the event that fires a timer: a tick."""
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTimer:
    """A timer that has not fired yet."""

    at: datetime
    """When it is due, in UTC."""
    event: WireEvent | None = None
    """What a machine takes when it is due, or the request that leaves then; None of other timers."""
    named: bool = True
    """Whether it can be cancelled or replaced by its name."""
    within: timedelta | None = None
    """Of a deadline, how much time it gave when it was set; None of any other timer."""


NO_TIMERS: Final[Mapping[str, PendingTimer]] = MappingProxyType({})
"""The timers of a workflow that waits for no time; the same object for each, so that `is` finds it."""


def timer_key(name: str, event: str) -> str:
    """Return the key of a timer, by the hash of the event in whose step it is set."""
    return f"{name}#{event}"


def timer_name(key: str) -> str:
    """Return the name of a timer: all before the last `#` of its key."""
    return key.rpartition("#")[0]


def read_timers(stored: JsonValue) -> Mapping[str, PendingTimer]:
    """Return the timers that a record's member says, by their keys, in the order of setting.

    Raises:
        UnreadableRecordError: The member is damaged.
    """
    if not isinstance(stored, Mapping):
        raise UnreadableRecordError(f"its {TIMERS} is not an object")
    return {key: _read(key, timer) for key, timer in stored.items()} or NO_TIMERS


def write_timers(timers: Mapping[str, PendingTimer]) -> dict[str, JsonValue]:
    """Return timers as a record keeps them; they share their events."""
    return {key: _written(key, timer) for key, timer in timers.items()}


def earliest_timer(timers: Mapping[str, PendingTimer]) -> NextTimer | None:
    """Return the timer that is due first, of several the one that was set first; None without any."""
    if not timers:
        return None
    key, timer = min(timers.items(), key=lambda each: each[1].at)
    return NextTimer(at=timer.at, key=key)


def _read(key: str, stored: Any) -> PendingTimer:
    said = stored if isinstance(stored, Mapping) else {}
    at, event, within = map(said.get, ("at", "event", "within"))
    try:
        due = datetime.fromisoformat(str(at))
    except ValueError as error:
        raise UnreadableRecordError(f"its timer {key!r} has no time: {at!r}") from error
    if not (
        key and due.tzinfo and isinstance(event, dict | None) and isinstance(within, int | None)
    ):
        raise UnreadableRecordError(f"its timer {key!r} is damaged")
    return PendingTimer(
        at=due,
        event=event,
        named=event is None or "id" in said,
        within=None if within is None else within * _MILLISECOND,
    )


def _written(key: str, timer: PendingTimer) -> dict[str, JsonValue]:
    written: dict[str, JsonValue] = {
        "at": timer.at.astimezone(UTC).isoformat(timespec="milliseconds")
    }
    if timer.event is not None:
        written["event"] = timer.event
        if timer.named:
            written["id"] = timer_name(key)
    if timer.within is not None:
        written["within"] = timer.within // _MILLISECOND
    return written
