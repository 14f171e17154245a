"""A clock that stands still between steps, and the timers that a host keeps for a machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arvo_statechart import RunResult
from arvo_statechart.typing import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """An event that is sent to the machine later."""

    at: int
    """When it is due, in ms."""
    id: str | None
    event: Event

    def described(self) -> dict[str, Any]:
        """Return it as the cases describe a pending timer."""
        event = {"event": self.event} if self.event.keys() > {"type"} else {}
        return {"type": self.event["type"], "at": self.at, "id": self.id, **event}


class Clock:
    """The time of a host in ms, and the pending timers of one machine.

    Attributes:
        now: The current time.
    """

    def __init__(self) -> None:
        self.now = 0
        # By id, or by an object of its own; in the order of setting.
        self._pending: dict[object, Timer] = {}

    def keep(self, result: RunResult) -> None:
        """Take over the timers that a step has set and cancelled."""
        if result.snapshot.status != "active":
            self._pending.clear()
        for cancelled in result.cancelled:
            self._pending.pop(cancelled, None)
        for each in result.scheduled:
            key = object() if each.id is None else each.id
            self._pending.pop(key, None)
            at = math.ceil(self.now + each.delay)
            self._pending[key] = Timer(at=at, id=each.id, event=each.event)

    @property
    def pending(self) -> list[Timer]:
        """The pending timers, the one that is due first before the others."""
        return sorted(self._pending.values(), key=lambda timer: timer.at)

    def advance(self, ms: int) -> Iterator[Timer]:
        """Go from due time to due time, and yield each timer when it is due, already removed."""
        end = self.now + ms
        while (timer := self._take_due(end)) is not None:
            self.now = max(self.now, timer.at)
            yield timer
        self.now = end

    def jump(self, ms: int) -> Iterator[Timer]:
        """Set the clock on, then yield the timers that are due, already removed."""
        self.now += ms
        while (timer := self._take_due(self.now)) is not None:
            yield timer

    def _take_due(self, time: int) -> Timer | None:
        key = min(self._pending, key=lambda key: self._pending[key].at, default=None)
        if key is None or self._pending[key].at > time:
            return None
        return self._pending.pop(key)
