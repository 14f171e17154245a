"""The door: where events come in from outside, of whatever language."""

from datetime import timedelta
from random import Random
from typing import Final

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import (
    DeadLetter,
    DeadLetterReason,
    GiveUp,
    Handled,
    TryAgain,
    Verdict,
)
from arvo_time import Backoff
from arvo_transport._errors import EventTooLargeError, TransportError
from arvo_transport._publisher import Publisher
from arvo_transport._topic import DOOR, address_of, domain_topic

from ._errors import NotAcceptedError
from ._held_delivery import HeldDelivery
from ._runner import IRunner
from ._telemetry import PUBLISHED, count

_INTERNAL: Final = ("arvo.timer.", "arvo.workflow.")
_PAUSES: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))


class Door(IRunner):
    """Takes events from outside to their topics, if they may come in.

    One that may not becomes a dead letter, `not accepted`. One whose topic is full waits.

    Args:
        publisher: Publishes to topics that are not full.
        random: For the jitter of the pauses.
    """

    def __init__(self, publisher: Publisher, *, random: Random) -> None:
        self._publisher = publisher
        self._random = random

    @override
    async def run(self, trial: HeldDelivery) -> Verdict:
        event = trial.event
        topic = address_of(event)
        if (why := _refusal(event, topic)) is not None:
            return self._refuse(trial, NotAcceptedError(event, why=why))
        try:
            await self._publisher.publish([event], again=trial.received.again)
        except (UnroutableError, EventTooLargeError) as error:
            refused = NotAcceptedError(event, why=str(error))
            refused.__cause__ = error
            return self._refuse(trial, refused)
        except TransportError as error:
            return await self.refused(trial, error=error)
        count(PUBLISHED, topic)
        return Handled(outputs=())

    @override
    async def refused(self, trial: HeldDelivery, *, error: Exception) -> Verdict:
        """Try again: the engine is away, or a topic is full."""
        trial.failed += 1
        pause = _PAUSES.delay(trial.failed - 1, random=self._random)
        return TryAgain(after=pause, counts=False, error=error)

    @override
    def give_up(self, trial: HeldDelivery, *, error: Exception, reason: DeadLetterReason) -> GiveUp:
        letter = DeadLetter(
            event=trial.event, error=error, attempts=trial.failed, handler=DOOR, reason=reason
        )
        return GiveUp(letter=letter)

    def _refuse(self, trial: HeldDelivery, error: NotAcceptedError) -> GiveUp:
        return self.give_up(trial, error=error, reason=DeadLetterReason.NOT_ACCEPTED)


def _refusal(event: ArvoEvent, topic: str) -> str | None:
    """Return why an event may not come in, whatever topics there are; None when it may."""
    if event.type.startswith(_INTERNAL):
        return f"the type {event.type!r} is internal to Arvo"
    if topic == DOOR or topic.startswith(domain_topic("")):
        return f"nobody outside may send to {topic!r}; set `to` to the topic of a handler or client"
    return None
