"""The answers a workflow has collected, parsed when somebody looks at them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler._stored_event import stored_event

from ._stored_reads import StoredReads
from ._stored_record import unreadable


class CollectedAnswers(Mapping[str, Sequence[ArvoEvent]]):
    """Answers to the latest requests by event type, in the order of the requests.

    Args:
        answers: Answers as stored, by the id of the request.
        current: The answer being handled.
        reads: Hears of an answer that cannot be read.
    """

    def __init__(
        self, answers: Mapping[str, list[Any]], *, current: ArvoEvent, reads: StoredReads
    ) -> None:
        self._current = current
        self._reads = reads
        self._stored: dict[str, list[Any]] = {}
        self._parsed: dict[str, tuple[ArvoEvent, ...]] = {}
        for collected in answers.values():
            for answer in collected:
                self._stored.setdefault(answer["type"], []).append(answer)

    @override
    def __getitem__(self, event_type: str) -> Sequence[ArvoEvent]:
        if event_type not in self._parsed:
            self._parsed[event_type] = tuple(map(self._parse, self._stored[event_type]))
        return self._parsed[event_type]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    @override
    def __len__(self) -> int:
        return len(self._stored)

    @override
    def __repr__(self) -> str:
        counts = {event_type: len(answers) for event_type, answers in self._stored.items()}
        return f"CollectedAnswers({counts})"

    def _parse(self, answer: Mapping[str, Any]) -> ArvoEvent:
        if (answer["source"], answer["id"]) == (self._current.source, self._current.id):
            return self._current
        try:
            return stored_event(answer)
        except Exception as error:
            why = f"a collected answer is {error}"
            raise self._reads.failed(unreadable(self._current.subject, why)) from error
