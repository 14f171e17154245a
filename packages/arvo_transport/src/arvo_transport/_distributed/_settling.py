"""Carries verdicts out: what came of an event is stored, and its delivery is forgotten."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from arvo_core import ArvoEvent, ViolationError
from arvo_event_handler import ConfigViolation
from arvo_event_handler.delivery import (
    DeadLetter,
    DeadLetterReason,
    DelayedOutput,
    GiveUp,
    Handled,
    Listeners,
    Verdict,
)
from arvo_transport._errors import EventTooLargeError, SettleRefusedError, TransportError
from arvo_transport._settlement import Dead, Done, Later, Output, Received, Settlement
from arvo_transport._transport import IEventInbox

from ._copies import asking_anew
from ._delayed_outputs import DelayedOutputs
from ._health import Health
from ._held_delivery import HeldDelivery
from ._replies import Askers, Substitutes
from ._runner import IRunner
from ._telemetry import PUBLISHED, SETTLED


class Settling:
    """Ends the deliveries of one topic.

    Args:
        topic: What the topic is called.
        runner: Judges what the engine refused.
        topic_of: Returns the topic of what came of an event.
        delayed: Publishes what leaves later.
        substitutes: What is sent instead of an output that is too large.
        askers: Knows who is a client, where only clients are told of dead letters; None to tell all.
        max_event_bytes: The longest event of the engine.
        listeners: Hear of dead letters and errors.
        health: Knows of failures.
    """

    def __init__(
        self,
        topic: str,
        *,
        runner: IRunner,
        topic_of: Callable[[ArvoEvent], str],
        delayed: DelayedOutputs,
        substitutes: Substitutes,
        askers: Askers | None,
        max_event_bytes: int,
        listeners: Listeners,
        health: Health,
    ) -> None:
        self._topic = topic
        self._what = f"settle events of {topic}"
        self._runner = runner
        self._topic_of = topic_of
        self._delayed = delayed
        self._substitutes = substitutes
        self._askers = askers
        self._max_event_bytes = max_event_bytes
        self._listeners = listeners
        self._health = health

    async def settle(
        self, verdict: Handled | GiveUp, held: HeldDelivery, *, inbox: IEventInbox
    ) -> Verdict | None:
        """End a delivery as was decided, with as many tries as it takes.

        Args:
            verdict: What was decided.
            held: The delivery.
            inbox: Where it is in hand.

        Returns:
            What follows, when the engine has refused to store what came of the event; else None.

        Raises:
            DeliveryLostError: It is not in hand any more.
            TransportError: The engine refuses it, or was closed.
        """
        received = asking_anew(held.received)
        outputs: list[Output] = []
        letters: list[DeadLetter] = []
        if isinstance(verdict, Handled) and verdict.delayed:
            fitting = [each for each in verdict.delayed if self._fits(each.event, outputs, letters)]
            try:
                letters += await self._publish_later(fitting, again=received.again)
            except ConfigViolation as error:
                return await self._runner.refused(held, error=error)
        settlement = await self._settlement(verdict, held, outputs, letters)
        try:
            await self._insist(received, settlement, inbox=inbox)
        except SettleRefusedError as error:
            return await self._judge(error, settlement, held)
        self._count(settlement)
        self._report(verdict, settlement, held)
        return None

    async def postpone(self, held: HeldDelivery, *, delay: timedelta, inbox: IEventInbox) -> None:
        """End a delivery so that there is another one later.

        Raises:
            DeliveryLostError: It is not in hand any more.
            TransportError: The engine refuses it, or was closed.
        """
        settlement = Later(delay=delay, failed=held.failed)
        await self._insist(held.received, settlement, inbox=inbox)
        self._count(settlement)

    async def _insist(
        self, received: Received, settlement: Settlement, *, inbox: IEventInbox
    ) -> None:
        await self._health.insist(self._what, partial(inbox.settle, received, settlement))

    async def _judge(
        self, error: SettleRefusedError, settlement: Settlement, held: HeldDelivery
    ) -> Verdict:
        if isinstance(settlement, Dead):
            raise TransportError(
                f"the engine refuses a dead letter: {error}", retryable=False, outcome="failed"
            ) from error
        if isinstance(error.__cause__, ViolationError):
            return await self._runner.refused(held, error=error.__cause__)
        if error.retryable:
            return await self._runner.refused(held, error=error)
        return self._runner.give_up(held, error=error, reason=DeadLetterReason.NOT_RETRYABLE)

    # --- what to store ------------------------------------------------------

    async def _publish_later(
        self, delayed: Sequence[DelayedOutput], *, again: str
    ) -> Sequence[DeadLetter]:
        publish = partial(self._delayed.publish, delayed, again=again)
        letters = await self._health.insist("publish for later", publish)
        unsent = [letter.event for letter in letters]
        for each in delayed:
            if each.event not in unsent:
                PUBLISHED.add(1, {"arvo.topic": self._topic_of(each.event)})
        return letters

    async def _settlement(
        self,
        verdict: Handled | GiveUp,
        held: HeldDelivery,
        outputs: list[Output],
        letters: list[DeadLetter],
    ) -> Done | Dead:
        """Return what to store, after what came already of outputs that leave later."""
        if isinstance(verdict, GiveUp):
            letter = await self._tell(verdict, outputs)
            letter = replace(letter, deliveries=held.received.deliveries)
            return Dead(letter=letter, outputs=outputs)
        letters += [await self._tell(trouble, outputs) for trouble in verdict.troubles]
        for event in verdict.outputs:
            encoded = event.to_json().encode()
            if self._fits(event, outputs, letters, size=len(encoded)):
                outputs.append(Output(event, topic=self._topic_of(event), encoded=encoded))
        return Done(outputs=outputs, letters=letters)

    def _fits(
        self,
        event: ArvoEvent,
        outputs: list[Output],
        letters: list[DeadLetter],
        *,
        size: int | None = None,
    ) -> bool:
        """Return whether the engine takes an event; add what there is instead if it does not."""
        if size is None:
            size = len(event.to_json().encode())
        if size <= self._max_event_bytes:
            return True
        letter = DeadLetter(
            event=event,
            error=EventTooLargeError(event, size=size, max_bytes=self._max_event_bytes),
            attempts=0,
            handler=self._topic_of(event),
            reason=DeadLetterReason.TOO_LARGE,
        )
        instead = self._substitutes.instead_of(letter)
        outputs.extend(Output(each, topic=self._topic_of(each)) for each in instead)
        letters.append(replace(letter, replied=bool(instead)))
        return False

    async def _tell(self, verdict: GiveUp, outputs: list[Output]) -> DeadLetter:
        """Add the replies to outputs, and return the letter, which says whether there are any."""
        replies: Sequence[ArvoEvent] = verdict.replies
        if replies and self._askers is not None:
            clients_of = partial(self._askers.clients_of, replies)
            replies = await self._health.insist("look up topics", clients_of)
        outputs.extend(Output(each, topic=self._topic_of(each)) for each in replies)
        return replace(verdict.letter, replied=bool(replies))

    # --- what to say --------------------------------------------------------

    def _count(self, settlement: Settlement) -> None:
        how = type(settlement).__name__.lower()
        SETTLED.add(1, {"arvo.topic": self._topic, "arvo.settlement": how})
        if not isinstance(settlement, Later):
            for output in settlement.outputs:
                PUBLISHED.add(1, {"arvo.topic": output.topic})

    def _report(
        self, verdict: Handled | GiveUp, settlement: Done | Dead, held: HeldDelivery
    ) -> None:
        """Notify the broker's owner of what is stored by now."""
        for error in verdict.errors:
            self._listeners.report(held, event=held.event, error=error)
        given_up = [verdict] if isinstance(verdict, GiveUp) else verdict.troubles
        for each in given_up:
            if each.reply_error is not None:
                self._listeners.report(held, event=each.letter.event, error=each.reply_error)
        letters = [settlement.letter] if isinstance(settlement, Dead) else settlement.letters
        for letter in letters:
            self._listeners.give_up(letter, cause=held)
