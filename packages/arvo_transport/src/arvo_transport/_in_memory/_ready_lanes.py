"""Which lanes have something that waits, the longest wait first."""

from heapq import heappop, heappush
from itertools import count

from ._entry import Lane


class ReadyLanes:
    """A queue of lanes by the number of their first waiting event."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Lane]] = []
        self._tie = count()

    def offer(self, lane: Lane) -> None:
        """List a lane under its first waiting event, if it has one."""
        if lane.waiting and lane.listed_under != lane.waiting[0].number:
            lane.listed_under = lane.waiting[0].number
            heappush(self._heap, (lane.listed_under, next(self._tie), lane))

    def pop(self) -> Lane | None:
        """Take the lane whose event has waited longest off the list; None when there is none."""
        while self._heap:
            number, _, lane = heappop(self._heap)
            if lane.listed_under == number:
                lane.listed_under = None
                if lane.waiting:
                    return lane
        return None
