"""What an engine keeps, and what it does with that. Each call is one step."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from arvo_core import ArvoEvent, InvalidEventError
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason
from arvo_time.settings import check_count
from arvo_transport._delivery_id import delivery_id
from arvo_transport._errors import AnswersNothingError, EventTooLargeError
from arvo_transport._settlement import Dead, Later, Output, Settlement
from arvo_transport._topic import TopicDepth, address_of, topic_of_output

from ._answer_box import Answers
from ._engine_clock import EngineClock, microseconds
from ._entry import Entry, Microseconds
from ._letters import Letters
from ._registry import Registry, Topic


class Store:
    """The topics, answers and letters of an engine.

    Args:
        clock: The engine's.
        registry: Its topics.
        answers: Its answers.
        letters: Its dead letters.
        max_event_bytes: The longest event.
    """

    def __init__(
        self,
        *,
        clock: EngineClock,
        registry: Registry,
        answers: Answers,
        letters: Letters,
        max_event_bytes: int,
    ) -> None:
        self.registry = registry
        self.answers = answers
        self.letters = letters
        self._clock = clock
        self._max_bytes = max_event_bytes

    # --- in -----------------------------------------------------------------

    def publish(self, events: Sequence[ArvoEvent], *, at: datetime | None, again: str) -> None:
        """Store events in the topics of their addresses, all or none."""
        topics = [self._topic_of(event, at=at) for event in events]
        for event in events:
            if (size := _size(event)) > self._max_bytes:
                raise EventTooLargeError(event, size=size, max_bytes=self._max_bytes)
        due = None if at is None else self._clock.until(at)
        for event, topic in zip(events, topics, strict=True):
            self._store(event, topic=topic, again=again, due=due)

    def put(self, raw: bytes, *, topic: str) -> None:
        """Store bytes in a topic, which are an event or become a letter."""
        place = self.registry.get(topic)
        try:
            event = ArvoEvent.from_json(raw)
        except InvalidEventError as error:
            self.letters.keep_unparsable(raw, topic=topic, error=error)
        else:
            self._store(event, topic=place, again="")

    # --- out ----------------------------------------------------------------

    def settle(self, entry: Entry, settlement: Settlement, *, topic: Topic, again: str) -> None:
        """Do what a settlement says, and forget an event in hand; outputs carry `again`."""
        if isinstance(settlement, Later):
            due = self._clock.now() + microseconds(settlement.delay)
            topic.log.postpone(entry, due=due, failed=settlement.failed)
            return
        for output in settlement.outputs:
            self._store_output(output, again=again)
        if isinstance(settlement, Dead):
            self.letters.keep(settlement.letter, topic=topic.name)
        else:
            for letter in settlement.letters:
                self.letters.keep(letter, topic=letter.handler or topic_of_output(letter.event))
        topic.log.forget(entry)

    # --- looks --------------------------------------------------------------

    def peek(self, topic: str, *, limit: int) -> list[ArvoEvent]:
        """Return the oldest events that wait."""
        check_count(limit, name="limit", least=1)
        return [entry.event for entry in self.registry.get(topic).log.waiting()[:limit]]

    def depth(self, name: str) -> TopicDepth:
        """Return how many events a topic has."""
        topic = self.registry.get(name)
        waiting = topic.log.waiting()
        return TopicDepth(
            waiting=len(waiting),
            in_hand=topic.log.in_hand,
            delayed=topic.log.delayed,
            dead=self.letters.count(name),
            oldest=waiting[0].stored_at if waiting else None,
            workers=len(topic.inboxes),
        )

    # --- letters ------------------------------------------------------------

    def redrive(self, keys: Iterable[str], *, force: bool) -> int:
        """Put the events of letters back in their topics, all or none, and forget the letters."""
        redriven = [
            (letter.event, self._find(letter.topic, letter.event), letter.key)
            for letter in self.letters.publishable(keys, force=force)
            if letter.event is not None and letter.topic is not None
        ]
        for event, topic, key in redriven:
            self._store(event, topic=topic, again=f"redrive:{key}")
        return self.letters.drop([key for _, _, key in redriven])

    # --- inside -------------------------------------------------------------

    def _topic_of(self, event: ArvoEvent, *, at: datetime | None) -> Topic:
        topic = self._find(address_of(event), event)
        if at is not None and (topic.log.order != "none" or topic.kind == "answers"):
            raise ValueError(
                f"topic {topic.name!r} takes no events for later (`at`): its order is "
                f"{topic.log.order!r}, its kind {topic.kind!r}"
            )
        return topic

    def _find(self, topic: str, event: ArvoEvent) -> Topic:
        found = self.registry.find(topic)
        if found is None:
            raise UnroutableError(event)
        return found

    def _store_output(self, output: Output, *, again: str) -> None:
        topic = self.registry.find(output.topic)
        encoded = output.encoded
        size = _size(output.event) if encoded is None else len(encoded)
        if size > self._max_bytes:
            self._bury(
                output.event,
                topic=output.topic,
                reason=DeadLetterReason.TOO_LARGE,
                error=EventTooLargeError(output.event, size=size, max_bytes=self._max_bytes),
            )
        elif topic is None:
            self._bury(
                output.event,
                topic=output.topic,
                reason=DeadLetterReason.UNROUTABLE,
                error=UnroutableError(output.event),
            )
        else:
            self._store(output.event, topic=topic, again=again)

    def _store(
        self, event: ArvoEvent, *, topic: Topic, again: str, due: Microseconds | None = None
    ) -> None:
        """Store an event in a topic, or in its answer box, unless it is a repetition."""
        copy = delivery_id(event, topic=topic.name, again=again)
        if copy in topic.known:
            return
        topic.known.add(copy)
        if topic.kind != "answers":
            topic.log.add(event, again=again, at=self._clock.utc_now(), due=due)
        elif event.parentid is not None:
            self.answers.put(event, address=topic.name, request=event.parentid)
        else:
            self._bury(
                event,
                topic=topic.name,
                reason=DeadLetterReason.ANSWERS_NOTHING,
                error=AnswersNothingError(event),
            )

    def _bury(
        self, event: ArvoEvent, *, topic: str, reason: DeadLetterReason, error: Exception
    ) -> None:
        letter = DeadLetter(event=event, error=error, attempts=0, handler=topic, reason=reason)
        self.letters.keep(letter, topic=topic)


def _size(event: ArvoEvent) -> int:
    return len(event.to_json().encode())
