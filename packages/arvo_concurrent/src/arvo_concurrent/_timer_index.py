"""Which workflows wait for a time, in the order in which they are due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, TypeAlias

from arvo_event_handler.memory import DueMachine, NextTimer, claim_hold

_FEWEST_STALE: Final = 64


class _Entry:
    """The earliest timer of one workflow."""

    __slots__ = ("at", "claims", "key", "ready")

    def __init__(self, timer: NextTimer) -> None:
        self.at = self.ready = timer.at.astimezone(UTC)
        self.key = timer.key
        self.claims = 0


_Place: TypeAlias = tuple[datetime, int, str, _Entry]


class TimerIndex:
    """The earliest timer of each workflow, with who claimed it how often."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # Entries that were moved leave their old places behind, until those come to the top.
        self._places: list[_Place] = []
        self._numbers = count()
        self._watchers: list[Callable[[datetime], None]] = []

    def watch(self, watcher: Callable[[datetime], None]) -> Callable[[], None]:
        """Call a function with the time of each timer that is moved, and return what ends it."""
        self._watchers.append(watcher)
        return partial(self._watchers.remove, watcher)

    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        """Replace a workflow's entry; None removes it."""
        if timer is None:
            self._entries.pop(machine_id, None)
        else:
            entry = self._entries[machine_id] = _Entry(timer)
            self._put(machine_id, entry)
            for watcher in self._watchers:
                watcher(timer.at)
        self._drop_stale_places()

    def claim(self, *, limit: int, hold: timedelta, now: datetime) -> list[DueMachine]:
        """Return what is due, earliest first, and put each back for the end of its hold."""
        claimed: list[tuple[str, _Entry]] = []
        while len(claimed) < limit and (place := self._first()) is not None and place[0] <= now:
            heappop(self._places)
            claimed.append((place[2], place[3]))
        for machine_id, entry in claimed:
            entry.claims += 1
            entry.ready = now + claim_hold(hold, claims=entry.claims)
            self._put(machine_id, entry)
        claimed.sort(key=lambda each: each[1].at)
        return [
            DueMachine(
                machine_id=machine_id,
                at=entry.at,
                key=entry.key,
                claims=entry.claims,
                due_by=now,
            )
            for machine_id, entry in claimed
        ]

    def next_due(self) -> datetime | None:
        """Return when something can be claimed next; None when nothing is pending."""
        place = self._first()
        return None if place is None else place[0]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._places.clear()

    def _put(self, machine_id: str, entry: _Entry) -> None:
        heappush(self._places, (entry.ready, next(self._numbers), machine_id, entry))

    def _first(self) -> _Place | None:
        """Return the first place that an entry still has."""
        places = self._places
        while places and not self._is_current(places[0]):
            heappop(places)
        return places[0] if places else None

    def _is_current(self, place: _Place) -> bool:
        ready, _, machine_id, entry = place
        return self._entries.get(machine_id) is entry and entry.ready == ready

    def _drop_stale_places(self) -> None:
        if len(self._places) > 2 * len(self._entries) + _FEWEST_STALE:
            self._places = [place for place in self._places if self._is_current(place)]
            heapify(self._places)
