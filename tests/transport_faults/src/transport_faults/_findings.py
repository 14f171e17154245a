"""What a ledger shows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from ._ledger import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What happened to the events of one topic."""

    handled: Counter[int]
    """How often each number was handled to its end."""
    lost: int
    """How often a worker found that another had its event."""
    deliveries: dict[int, int]
    """The highest count of deliveries of each."""
    disorder: Sequence[str]
    """Where an event was begun before the one before it, of the same subject, had ended."""
    fell_back: Sequence[str]
    """Where an event was begun again after a later one of its subject."""
    overlaps: Sequence[str]
    """Where an event was begun while another worker had one of its subject."""

    @classmethod
    def of(cls, entries: Iterable[Entry], *, topic: str, dead: Iterable[int] = ()) -> Self:
        """Read a ledger.

        Args:
            entries: Its lines.
            topic: The topic.
            dead: The workers that were killed: what they had begun ended with them.
        """
        found = [entry for entry in entries if entry.topic == topic]
        subjects: defaultdict[str, list[Entry]] = defaultdict(list)
        deliveries: dict[int, int] = {}
        for entry in found:
            subjects[entry.subject].append(entry)
            if entry.what == "received":
                deliveries[entry.number] = max(entry.deliveries, deliveries.get(entry.number, 0))
        gone = frozenset(dead)
        return cls(
            handled=Counter(entry.number for entry in found if entry.what == "ended"),
            lost=sum(entry.what == "lost" for entry in found),
            deliveries=deliveries,
            disorder=[what for each in subjects.values() for what in _disorder(each)],
            fell_back=[what for each in subjects.values() for what in _fell_back(each)],
            overlaps=[what for each in subjects.values() for what in _overlaps(each, gone)],
        )

    @property
    def out_of_order(self) -> Sequence[str]:
        """Whatever no order allows while the engine lives."""
        return [*self.disorder, *self.fell_back]

    @property
    def twice(self) -> int:
        """How many events were handled to their end more than once."""
        return sum(count > 1 for count in self.handled.values())

    def missing(self, count: int) -> Sequence[int]:
        """Return which of the numbers below `count` were never handled to the end."""
        return [number for number in range(count) if not self.handled[number]]


def _disorder(entries: Sequence[Entry]) -> Iterator[str]:
    numbers = sorted({entry.number for entry in entries})
    ended: set[int] = set()
    for entry in entries:
        if entry.what == "begun":
            before = [number for number in numbers if number < entry.number]
            if before and before[-1] not in ended:
                yield f"{entry.subject}: {entry.number} begun before the end of {before[-1]}"
        elif entry.what == "ended":
            ended.add(entry.number)


def _fell_back(entries: Sequence[Entry]) -> Iterator[str]:
    highest = -1
    for entry in entries:
        if entry.what == "begun":
            if highest > entry.number:
                yield f"{entry.subject}: {entry.number} begun after {highest}"
            highest = max(highest, entry.number)


def _overlaps(entries: Sequence[Entry], dead: frozenset[int]) -> Iterator[str]:
    """Yield where two workers had events of one subject at a time."""
    at_work: dict[int, int] = {}
    for entry in entries:
        if entry.what == "begun":
            for worker, number in at_work.items():
                if worker != entry.worker and worker not in dead:
                    yield f"{entry.subject}: {entry.number} begun while {number} was handled"
            at_work[entry.worker] = entry.number
        elif entry.what == "ended":
            at_work.pop(entry.worker, None)
