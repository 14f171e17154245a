"""What is stored: events in topics, answers in boxes, letters with the dead."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from nats.js import errors as js_errors

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason, ordering_key
from arvo_time import Clock
from arvo_transport import (
    AnswersNothingError,
    Dead,
    Done,
    EventTooLargeError,
    TransportError,
    address_of,
    delivery_id,
    partition_of,
    topic_of_output,
)

from ._answers import Answers
from ._failure import error_code, transport_error
from ._layout import Layout
from ._letters import Letters
from ._messages import Envelope, Message, written
from ._names import DELAYED, Names
from ._publisher import Publisher
from ._registry import Registry, Topic

_WRONG_STREAM: Final = 10060
_LOOKS: Final = 120
_BETWEEN_LOOKS: Final = timedelta(milliseconds=250)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """An event on its way to a topic."""

    event: ArvoEvent
    body: bytes = field(repr=False)
    topic: str
    envelope: Envelope
    message_id: str


class Outbox:
    """Stores events where they belong.

    Args:
        publisher: What stores messages.
        registry: The topics.
        layout: Their streams.
        names: What is called how.
        answers: The answer boxes.
        letters: The dead letters.
        clock: What waits for a topic that is being laid out anew.
        max_event_bytes: The longest event.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        registry: Registry,
        layout: Layout,
        names: Names,
        answers: Answers,
        letters: Letters,
        clock: Clock,
        max_event_bytes: int,
    ) -> None:
        self._publisher = publisher
        self._registry = registry
        self._layout = layout
        self._names = names
        self._answers = answers
        self._letters = letters
        self._clock = clock
        self._max_bytes = max_event_bytes

    # --- what is asked of it ------------------------------------------------

    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None, again: str
    ) -> None:
        """Store events in the topics of their addresses, as `IEventTransport.publish` says."""
        for event in events:
            await self._check_way(event, at=at)
        due = None if at is None or at <= self._clock.now() else at
        parcels = [
            self._parcel(event, topic=address_of(event), envelope=Envelope(again=again, due=due))
            for event in events
        ]
        for parcel in parcels:
            if len(parcel.body) > self._max_bytes:
                raise self._too_large(parcel)
        results = await self._put(parcels)
        errors = [error for error in results if error is not None]
        if errors:
            first = errors[0]
            raise TransportError(
                str(first),
                retryable=first.retryable,
                outcome="unknown" if any(e.outcome == "unknown" for e in errors) else "failed",
                stored=[p.event for p, error in zip(parcels, results, strict=True) if not error],
            ) from first

    async def redrive(self, event: ArvoEvent, *, topic: str, key: str) -> None:
        """Store the event of a letter in its topic again."""
        envelope = Envelope(again=f"redrive:{key}")
        await self._put_all([self._parcel(event, topic=topic, envelope=envelope)])

    async def postpone(
        self, event: ArvoEvent, *, topic: str, envelope: Envelope, place: str
    ) -> None:
        """Store an event that is in hand once more, for later."""
        again = f"{envelope.again}later:{envelope.failed}:{place}"
        parcel = Parcel(
            event=event,
            body=written(event),
            topic=topic,
            envelope=envelope,
            message_id=delivery_id(event, topic=topic, again=again),
        )
        await self._put_all([parcel])

    async def wake(
        self, event: ArvoEvent, *, topic: str, envelope: Envelope, identity: str
    ) -> None:
        """Store an event that was delayed where it is handed out.

        Args:
            event: The event.
            topic: Its topic.
            envelope: What was kept beside it.
            identity: Of the delayed message, so that it is not woken twice.
        """
        parcel = Parcel(
            event=event,
            body=written(event),
            topic=topic,
            envelope=Envelope(again=envelope.again, failed=envelope.failed),
            message_id=delivery_id(event, topic=topic, again=f"due:{identity}"),
        )
        await self._put_all([parcel])

    async def carry_out(
        self, settlement: Done | Dead, *, topic: str, again: str, place: str
    ) -> None:
        """Store the outputs and letters of a settlement.

        Args:
            settlement: The settlement.
            topic: Of the event that is settled.
            again: Of its delivery; the outputs carry it.
            place: Where that event is in the engine, so that its letters are told from others.
        """
        dead: list[tuple[DeadLetter, str]] = []
        parcels: list[Parcel] = []
        for output in settlement.outputs:
            parcel = self._parcel(
                output.event,
                topic=output.topic,
                envelope=Envelope(again=again),
                body=output.encoded,
            )
            letter = await self._refusal(parcel)
            if letter is None:
                parcels.append(parcel)
            else:
                dead.append((letter, output.topic))
        if isinstance(settlement, Dead):
            dead.append((settlement.letter, topic))
        else:
            dead.extend(
                (each, each.handler or topic_of_output(each.event)) for each in settlement.letters
            )
        messages = [
            self._letters.message(letter, topic=name, message_id=f"letter:{place}:{number}")
            for number, (letter, name) in enumerate(dead)
        ]
        if messages:
            await self._publisher.store(messages, doing="keep a dead letter")
        if parcels:
            await self._put_all(parcels)

    async def keep_unparsable(
        self, raw: bytes, *, topic: str, error: Exception, place: str
    ) -> None:
        """Store bytes that are not an event as a letter."""
        letter = self._letters.unparsable(
            raw, topic=topic, error=error, message_id=f"letter:{place}:0"
        )
        await self._publisher.store([letter], doing="keep a dead letter")

    # --- checks -------------------------------------------------------------

    async def _check_way(self, event: ArvoEvent, *, at: datetime | None) -> None:
        topic = await self._registry.find(address_of(event))
        if topic is None:
            raise UnroutableError(event)
        if at is not None and (topic.wanted_order != "none" or topic.kind == "answers"):
            raise ValueError(
                f"topic {topic.name!r} takes no events for later (`at`): its order is "
                f"{topic.wanted_order!r}, its kind {topic.kind!r}"
            )

    async def _refusal(self, parcel: Parcel) -> DeadLetter | None:
        """Return the letter that an output becomes which cannot be stored; None when it can."""
        if len(parcel.body) > self._max_bytes:
            return _letter(parcel, DeadLetterReason.TOO_LARGE, self._too_large(parcel))
        topic = await self._registry.find(parcel.topic)
        if topic is None:
            return _letter(parcel, DeadLetterReason.UNROUTABLE, UnroutableError(parcel.event))
        return None

    def _too_large(self, parcel: Parcel) -> EventTooLargeError:
        return EventTooLargeError(parcel.event, size=len(parcel.body), max_bytes=self._max_bytes)

    # --- on the way ---------------------------------------------------------

    def _parcel(
        self, event: ArvoEvent, *, topic: str, envelope: Envelope, body: bytes | None = None
    ) -> Parcel:
        return Parcel(
            event=event,
            body=body or written(event),
            topic=topic,
            envelope=envelope,
            message_id=delivery_id(event, topic=topic, again=envelope.again),
        )

    async def _put_all(self, parcels: Sequence[Parcel]) -> None:
        for error in await self._put(parcels):
            if error is not None:
                raise error

    async def _put(self, parcels: Sequence[Parcel]) -> list[TransportError | None]:
        """Store events in order; return what went wrong with each, None where nothing did."""
        results: list[TransportError | None] = [None] * len(parcels)
        left = list(range(len(parcels)))
        for look in range(_LOOKS):
            astray = await self._put_once(parcels, left, results)
            if not astray:
                break
            await self._find_again({parcels[at].topic for at in astray})
            if look:
                await self._clock.sleep(_BETWEEN_LOOKS)
            left = astray
        return results

    async def _put_once(
        self,
        parcels: Sequence[Parcel],
        left: Sequence[int],
        results: list[TransportError | None],
    ) -> list[int]:
        """Try to store some; return those whose topic is not where the registry said."""
        messages: list[Message] = []
        sent: list[int] = []
        for at in left:
            results[at] = None
            topic = await self._registry.find(parcels[at].topic)
            if topic is None:
                results[at] = _gone(parcels[at])
            elif topic.kind == "answers":
                results[at] = await self._answer(parcels[at])
            else:
                sent.append(at)
                messages.append(self._message(parcels[at], topic))
        astray: list[int] = []
        for at, result in zip(sent, await self._publisher.publish(messages), strict=True):
            if isinstance(result, Exception):
                results[at] = transport_error(result, doing="store an event")
                if _is_astray(result):
                    astray.append(at)
        return astray

    async def _find_again(self, topics: set[str]) -> None:
        """Look again where topics are, and make streams exist that do not, as after a crash."""
        for name in topics:
            # When it fails, so will the next try to store; what went wrong then is reported.
            with suppress(TransportError):
                topic = await self._registry.look(name)
                if topic is not None and topic.move is None:
                    await self._layout.ensure(topic)

    async def _answer(self, parcel: Parcel) -> TransportError | None:
        request = parcel.event.parentid
        try:
            if request is not None:
                await self._answers.put(parcel.event, address=parcel.topic, request=request)
                return None
            letter = _letter(
                parcel, DeadLetterReason.ANSWERS_NOTHING, AnswersNothingError(parcel.event)
            )
            message = self._letters.message(
                letter, topic=parcel.topic, message_id=f"letter:{parcel.message_id}"
            )
            await self._publisher.store([message], doing="keep a dead letter")
        except TransportError as error:
            return error
        return None

    def _message(self, parcel: Parcel, topic: Topic) -> Message:
        part: int | str = 0
        if topic.order != "none":
            key = ordering_key(parcel.event, order=topic.order)
            part = partition_of(key, partitions=topic.partitions)
        elif parcel.envelope.due is not None:
            part = DELAYED
        return Message(
            subject=self._names.subject(topic.name, part),
            payload=parcel.body,
            headers=parcel.envelope.headers(
                message_id=parcel.message_id, stream=self._layout.stream_of(topic)
            ),
        )


def _letter(parcel: Parcel, reason: DeadLetterReason, error: Exception) -> DeadLetter:
    return DeadLetter(
        event=parcel.event, error=error, attempts=0, handler=parcel.topic, reason=reason
    )


def _is_astray(error: Exception) -> bool:
    """Return whether no stream has the subject, or another one than the registry said."""
    if isinstance(error, js_errors.APIError):
        return error_code(error) == _WRONG_STREAM
    return isinstance(error, js_errors.NoStreamResponseError)


def _gone(parcel: Parcel) -> TransportError:
    return TransportError(
        f"the topic {parcel.topic!r} was removed while an event was on its way there",
        retryable=False,
        outcome="failed",
    )
