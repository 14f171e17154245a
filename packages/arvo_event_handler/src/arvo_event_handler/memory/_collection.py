"""The answers to a workflow's latest requests."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from typing import TypeVar

from ._kept_event import KeptEvent

E = TypeVar("E")


class _Group:
    """The answers of one type, in the order of their requests."""

    __slots__ = ("answers", "positions")

    def __init__(self) -> None:
        self.answers: list[KeptEvent] = []
        self.positions: list[int] = []

    def place(self, position: int) -> int:
        """Return where the next answer to the request at a position belongs."""
        return bisect_right(self.positions, position)


class Collection:
    """The ids of a workflow's latest requests, in their order, with the answers so far.

    Answers are grouped and counted as they come, so that one more costs the same among a thousand
    as among ten.

    Args:
        requests: The ids of the requests, with the answers that have come already.
        size: How many bytes the JSON of those answers has as stored.
    """

    __slots__ = ("_answers", "_groups", "_positions", "_size", "_unanswered", "_unmeasured")

    def __init__(self, requests: Mapping[str, Iterable[KeptEvent]], *, size: int = 0) -> None:
        self._positions = {request: position for position, request in enumerate(requests)}
        self._answers: dict[str, list[KeptEvent]] = {}
        self._unanswered = dict.fromkeys(requests)
        self._groups: dict[str, _Group] = {}
        self._size = size
        self._unmeasured: list[KeptEvent] = []
        for request, answers in requests.items():
            for answer in answers:
                self._add(request, answer)

    @classmethod
    def of(cls, outputs: Iterable[KeptEvent], *, delayed: Iterable[str] = ()) -> "Collection":
        """Return one that outputs begin, and requests that leave later, given by their ids."""
        return cls({**{output.id: () for output in outputs}, **dict.fromkeys(delayed, ())})

    def extend(self, requests: Iterable[str]) -> None:
        """Add requests, given by their ids; those that are among them already stay."""
        position = max(self._positions.values(), default=-1)
        for request in requests:
            if request not in self._positions:
                position += 1
                self._positions[request] = position
                self._unanswered[request] = None

    def drop(self, requests: Iterable[str]) -> None:
        """Drop requests, given by their ids, that have no answer."""
        for request in requests:
            if request in self._unanswered:
                del self._unanswered[request], self._positions[request]

    def __contains__(self, request: object) -> bool:
        return request in self._positions

    def items(self) -> Iterator[tuple[str, Sequence[KeptEvent]]]:
        """Return the requests in their order, each with its answers."""
        return ((request, self._answers.get(request, ())) for request in self._positions)

    @property
    def size(self) -> int:
        """How many bytes the answers' JSON has as stored.

        Raises:
            UnreadableRecordError: One has to be measured, and what is stored is damaged.
        """
        # Not as they come: most collections are done before anybody asks.
        self._size += sum(answer.size for answer in self._unmeasured)
        self._unmeasured.clear()
        return self._size

    @property
    def unanswered(self) -> KeysView[str]:
        """The ids of the requests that have no answer."""
        return self._unanswered.keys()

    def add(self, request: str, answer: KeptEvent) -> None:
        """Take in an answer; one to another request is none of these."""
        if request in self._positions:
            self._add(request, answer)
            self._unmeasured.append(answer)

    def grouped(
        self, request: str | None, event_type: str, current: E
    ) -> dict[str, list[KeptEvent | E]]:
        """Return the answers by type, in the order of their requests, with one that is not added.

        Args:
            request: The request that `current` answers; it is left out when it answers none.
            event_type: Its type.
            current: One more answer.
        """
        grouped: dict[str, list[KeptEvent | E]] = {
            kind: [*group.answers] for kind, group in self._groups.items()
        }
        first = {kind: group.positions[0] for kind, group in self._groups.items()}
        position = None if request is None else self._positions.get(request)
        if position is not None:
            group = self._groups.get(event_type)
            place = 0 if group is None else group.place(position)
            grouped.setdefault(event_type, []).insert(place, current)
            first[event_type] = min(position, first.get(event_type, position))
        if len(grouped) > 1:
            # The same for all who know the same answers, in whatever order they came.
            grouped = {kind: grouped[kind] for _, kind in sorted((first[k], k) for k in grouped)}
        return grouped

    def _add(self, request: str, answer: KeptEvent) -> None:
        self._answers.setdefault(request, []).append(answer)
        self._unanswered.pop(request, None)
        group = self._groups.get(answer.type)
        if group is None:
            group = self._groups[answer.type] = _Group()
        position = self._positions[request]
        place = group.place(position)
        group.positions.insert(place, position)
        group.answers.insert(place, answer)
