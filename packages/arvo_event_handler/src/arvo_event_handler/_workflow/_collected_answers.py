"""The answers to a resumable's latest requests, each read when it is looked at.

A function that waits for the last of many answers is called with every one of them. If each call
read all that has come so far, n answers would cost n² reads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import eq
from typing import Generic, TypeAlias, TypeVar, overload

from typing_extensions import override

from arvo_core import ArvoEvent, DataSchema
from arvo_event_handler._errors import UnreadableRecordError
from arvo_event_handler._stored_event import stored_event
from arvo_event_handler.memory._collection import Collection
from arvo_event_handler.memory._kept_event import KeptEvent

from ._stored_record import unreadable
from ._workflow import StoredReads

S = TypeVar("S")
T = TypeVar("T")
Answer: TypeAlias = KeptEvent | ArvoEvent
"""An answer as stored, or the one that is being handled."""


class ReadWhenLookedAt(Sequence[T], Generic[T]):
    """A sequence that makes an item, anew, whenever one is looked at; length and truth cost nothing.

    Equal to a list or a tuple with equal items.

    Args:
        items: What items are made of.
        make: Makes an item. It may raise.
    """

    __slots__ = ("_items", "_make")
    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __init__(self, items: Sequence[S], make: Callable[[S], T]) -> None:
        self._items = items
        self._make: Callable[[S], T] = make

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    @override
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return ReadWhenLookedAt(self._items[index], self._make)
        return self._make(self._items[index])

    @override
    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._items)

    @override
    def __len__(self) -> int:
        return len(self._items)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReadWhenLookedAt | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    @override
    def __repr__(self) -> str:
        return f"<{len(self)} items, read when looked at>"


class CollectedAnswers(Mapping[str, Sequence[ArvoEvent]]):
    """Answers to the latest requests by event type, in request order.

    Args:
        collection: The latest requests with earlier answers; None when nothing was asked yet.
        current: The event being handled, which is one more if it answers one of the requests.
        reads: Notified of an answer that cannot be read.
    """

    def __init__(
        self,
        collection: Collection | None,
        *,
        current: ArvoEvent,
        reads: StoredReads,
    ) -> None:
        self._subject = current.subject
        self._reads = reads
        self._by_type: Mapping[str, Sequence[Answer]] = {}
        if collection is not None:
            self._by_type = collection.grouped(current.parentid, current.type, current)

    @override
    def __getitem__(self, event_type: str) -> Sequence[ArvoEvent]:
        return ReadWhenLookedAt(self._by_type[event_type], self._read)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._by_type)

    @override
    def __len__(self) -> int:
        return len(self._by_type)

    @override
    def __repr__(self) -> str:
        counts = {event_type: len(answers) for event_type, answers in self._by_type.items()}
        return f"CollectedAnswers({counts})"

    def described_by(self, uri: str, event_type: str) -> Sequence[ArvoEvent]:
        """Return the answers of one type from the service whose contract has a URI.

        A damaged one, whose contract cannot be known, is among them: to leave it out would make the
        workflow wait for it.
        """
        answers = self._by_type.get(event_type, ())
        own = [each for each in answers if self._uri(each) in (uri, None)]
        return ReadWhenLookedAt(own, self._read)

    def _uri(self, answer: Answer) -> str | None:
        if isinstance(answer, ArvoEvent):
            return contract_uri(answer.dataschema)
        try:
            return contract_uri(answer.wire().get("dataschema"))
        except UnreadableRecordError:
            return None

    def _read(self, answer: Answer) -> ArvoEvent:
        if isinstance(answer, ArvoEvent):
            return answer
        try:
            return stored_event(answer.wire())
        except Exception as error:
            why = f"a collected answer cannot be read: {error}"
            raise self._reads.failed(unreadable(self._subject, why)) from error


def contract_uri(dataschema: object) -> str | None:
    """Return the URI of the contract that a data schema names; None when it cannot be known."""
    schema = DataSchema.parse(dataschema) if isinstance(dataschema, str) else None
    return None if schema is None else schema.uri
