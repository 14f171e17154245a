"""The two frontiers of a lane: how many targets to claim at each."""

from typing import Final

_LEAST: Final = 0.2
_MOST: Final = 0.8


class Frontiers:
    """Shares claims between the targets that are furthest behind, and those furthest ahead.

    The share follows what the targets of each half gave to do the last time, so both converge. Neither
    half gets less than a fifth in the long run, so none starves.

    Args:
        both: Whether there is a choice; without one only those furthest behind are claimed.
    """

    def __init__(self, *, both: bool) -> None:
        self._both = both
        self._share = 0.5
        self._handled = {True: 0, False: 0}
        self._owed = 0.0

    @property
    def share(self) -> float:
        """The share of those that are furthest behind."""
        return self._share if self._both else 1.0

    def handled(self, count: int, *, lagging: bool) -> None:
        """Note how many events of a target were handled."""
        self._handled[lagging] += count

    def split(self, count: int) -> tuple[int, int]:
        """Return how many of some claims are for targets far behind, and how many for those ahead."""
        if not self._both:
            return count, 0
        total = sum(self._handled.values())
        if total:
            self._share = min(_MOST, max(_LEAST, self._handled[True] / total))
            self._handled = {True: 0, False: 0}
        # What rounding takes from a half in one claim, it gets in a later one.
        wanted = count * self._share + self._owed
        lagging = min(count, max(0, round(wanted)))
        self._owed = wanted - lagging
        return lagging, count - lagging
