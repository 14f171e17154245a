"""The workflows of a memory in the order in which they started."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import count
from typing import Final

from ._stored_workflow import Stored

_FEWEST_GONE: Final = 64


class StartedWorkflows:
    """The order in which workflows started, made when somebody asks for it.

    Args:
        stored: The records by machine id, in the order in which their workflows started.
    """

    def __init__(self, stored: dict[str, Stored]) -> None:
        self._stored = stored
        self._numbers = count(1)
        self._listed: list[tuple[int, str]] = []

    def next_number(self) -> int:
        """Return the number of the life that begins now."""
        return next(self._numbers)

    def newest_first(self, *, before: int | None) -> Iterator[tuple[str, Stored]]:
        """Yield what started before a number; None yields all."""
        started = self._in_order()
        end = len(started) if before is None else bisect_left(started, (before,))
        for index in range(end - 1, -1, -1):
            yield from self._at(*started[index])

    def oldest_first(self, *, after: int | None) -> Iterator[tuple[str, Stored]]:
        """Yield what started after a number; None yields all."""
        started = self._in_order()
        begin = 0 if after is None else bisect_right(started, after, key=lambda each: each[0])
        for index in range(begin, len(started)):
            yield from self._at(*started[index])

    def clear(self) -> None:
        """Forget the order of everything."""
        self._listed = []

    def _in_order(self) -> list[tuple[int, str]]:
        """Return numbers and machine ids of all that are stored, and of some that are gone."""
        known = self._listed[-1][0] if self._listed else 0
        new: list[tuple[int, str]] = []
        for machine_id, stored in reversed(self._stored.items()):
            if stored.life.number <= known:
                break
            new.append((stored.life.number, machine_id))
        self._listed += reversed(new)
        if len(self._listed) > 2 * len(self._stored) + _FEWEST_GONE:
            self._listed = [each for each in self._listed if self._is_stored(*each)]
        return self._listed

    def _at(self, number: int, machine_id: str) -> Iterator[tuple[str, Stored]]:
        if self._is_stored(number, machine_id):
            yield machine_id, self._stored[machine_id]

    def _is_stored(self, number: int, machine_id: str) -> bool:
        stored = self._stored.get(machine_id)
        # It may have been forgotten and have started again.
        return stored is not None and stored.life.number == number
