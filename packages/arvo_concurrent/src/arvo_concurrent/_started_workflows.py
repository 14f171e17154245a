"""The workflows of a memory in the order in which they started."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

from ._stored_workflow import Life, Stored

_FEWEST_GONE: Final = 64


class StartedWorkflows:
    """The order in which workflows started, kept beside the records.

    Args:
        stored: The records by machine id; those that are gone are dropped from the order now and
            then.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        self._stored = stored
        self._started: list[tuple[int, str]] = []
        self._next = 1

    def next_number(self) -> int:
        """Return the number of the next life."""
        return self._next

    def add(self, life: Life, machine_id: str) -> None:
        """Append a workflow that starts now."""
        self._started.append((life.number, machine_id))
        self._next = life.number + 1
        if len(self._started) > 2 * len(self._stored) + _FEWEST_GONE:
            self._started = [each for each in self._started if self._is_stored(*each)]

    def newest_first(self, *, before: int | None) -> Iterator[tuple[str, Stored]]:
        """Yield what started before a number; None yields all."""
        started = self._started
        end = len(started) if before is None else bisect_left(started, (before,))
        for index in range(end - 1, -1, -1):
            yield from self._at(*started[index])

    def oldest_first(self, *, after: int | None) -> Iterator[tuple[str, Stored]]:
        """Yield what started after a number; None yields all."""
        started = self._started
        begin = 0 if after is None else bisect_right(started, after, key=lambda each: each[0])
        for index in range(begin, len(started)):
            yield from self._at(*started[index])

    def clear(self) -> None:
        """Forget the order of everything."""
        self._started = []

    def _at(self, number: int, machine_id: str) -> Iterator[tuple[str, Stored]]:
        if self._is_stored(number, machine_id):
            yield machine_id, self._stored[machine_id]

    def _is_stored(self, number: int, machine_id: str) -> bool:
        stored = self._stored.get(machine_id)
        # It may have been forgotten and have started again.
        return stored is not None and stored.life.number == number
