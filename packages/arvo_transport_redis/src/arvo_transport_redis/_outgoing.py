"""What is to be stored, as the words of a script."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Final

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import (
    DeadLetter,
    DeadLetterReason,
    StoredLetter,
    ordering_key,
)
from arvo_redis import Word
from arvo_time import Clock
from arvo_transport import (
    AnswersNothingError,
    Dead,
    Done,
    EventTooLargeError,
    Later,
    Output,
    Settlement,
    TopicState,
    partition_of,
    topic_of_output,
)

from ._keys import Keys
from ._registry import Layout

MAX_EVENT_BYTES: Final = 8 * 2**20 - 64 * 2**10
"""The longest event: what Arvo reads by default, less the room for what a letter adds."""
DUPLICATES_DROPPED: Final = timedelta(minutes=2)
"""How long a repeated publication is swallowed."""
WORKER: Final = version("arvo-transport-redis")
"""The version of this package."""
_LETTER_BYTES: Final = MAX_EVENT_BYTES + 64 * 2**10
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Turns events, letters and settlements into the words of a script, for one layout of the topics."""

    keys: Keys
    """The names of keys."""
    layout: Layout
    """Where topics are."""
    clock: Clock
    """For when a letter was written."""
    answers_kept: timedelta
    """For how long answers are kept."""

    def settlement(
        self, settlement: Settlement, *, event: ArvoEvent, topic: str, again: str, tag: str
    ) -> Iterator[Word]:
        """Yield what a settlement stores.

        Args:
            settlement: The settlement.
            event: The event that was delivered.
            topic: Where it was.
            again: Which copy on purpose it is.
            tag: Tells it from others that are delayed.
        """
        if isinstance(settlement, Later):
            slot = self.keys.partition(topic, 0)
            delay = f"+{-(-settlement.delay // _MS)}"
            yield from ("delayed", slot, event_json(event), again, settlement.failed, tag, delay)
            return
        if isinstance(settlement, Dead):
            yield from self.letter(settlement.letter, topic=topic)
        if isinstance(settlement, Done):
            for letter in settlement.letters:
                to = letter.handler or topic_of_output(letter.event)
                yield from self.letter(letter, topic=to)
        for output in settlement.outputs:
            yield from self.event(output, again=again)

    def event(self, output: Output, *, again: str, text: bytes | None = None) -> Iterable[Word]:
        """Return what stores an event in its topic, or as a letter where it cannot be there.

        Args:
            output: The event and its topic.
            again: Which copy on purpose it is.
            text: The event as JSON; None where that is not known yet.
        """
        event, topic = output.event, output.topic
        try:
            text = text or output.encoded or event_json(event)
        except EventTooLargeError as error:
            return self._letter(event, error, DeadLetterReason.TOO_LARGE, topic=topic)
        state = self.layout.topics.get(topic)
        if state is None:
            reason = DeadLetterReason.UNROUTABLE
            return self._letter(event, UnroutableError(event), reason, topic=topic)
        if state.kind == "answers":
            return self._answer(event, text, address=topic)
        return ("event", self.slot(event, state), text, again, 0)

    def delayed(
        self, text: bytes, *, topic: str, due: datetime, again: str, tag: str
    ) -> Iterable[Word]:
        """Return what stores an event of an unordered topic until its time.

        Args:
            text: The event as JSON.
            topic: Its topic.
            due: When it is handed out.
            again: Which copy on purpose it is.
            tag: Tells it from others that are delayed.
        """
        at = -(-(due - _EPOCH) // _MS)
        return ("delayed", self.keys.partition(topic, 0), text, again, 0, tag, at)

    def letter(self, letter: DeadLetter, *, topic: str) -> Iterable[Word]:
        """Return what keeps a dead letter of a topic."""
        own = replace(letter, handler=topic)
        kept = StoredLetter.of(own, key="", at=self.clock.now(), worker=WORKER)
        return self.stored_letter(kept, topic=topic)

    def stored_letter(self, letter: StoredLetter, *, topic: str) -> Iterable[Word]:
        """Return what keeps a letter of a topic."""
        text = letter.to_json(max_bytes=_LETTER_BYTES)
        return ("letter", self.keys.partition(topic, 0), text, self.keys.letters, topic)

    def slot(self, event: ArvoEvent, state: TopicState) -> str:
        """Return the key of an event's partition."""
        key = ordering_key(event, order=state.order)
        return self.keys.partition(state.name, partition_of(key, partitions=state.partitions))

    def _answer(self, event: ArvoEvent, text: bytes, *, address: str) -> Iterable[Word]:
        request = event.parentid
        if not request:
            error, reason = AnswersNothingError(event), DeadLetterReason.ANSWERS_NOTHING
            return self._letter(event, error, reason, topic=address)
        failed = event.type.startswith("sys.") and event.type.endswith(".error")
        value = (b"0" if failed else b"1") + text
        kept = self.answers_kept // _MS
        return ("answer", f"{self.keys.answers(address)}{request}", request, value, kept)

    def _letter(
        self, event: ArvoEvent, error: Exception, reason: DeadLetterReason, *, topic: str
    ) -> Iterable[Word]:
        letter = DeadLetter(event=event, error=error, attempts=0, handler=topic, reason=reason)
        return self.letter(letter, topic=topic)


def event_json(event: ArvoEvent) -> bytes:
    """Return an event as JSON.

    Raises:
        EventTooLargeError: It is too large.
    """
    text = event.to_json().encode()
    if len(text) > MAX_EVENT_BYTES:
        raise EventTooLargeError(event, size=len(text), max_bytes=MAX_EVENT_BYTES)
    return text
