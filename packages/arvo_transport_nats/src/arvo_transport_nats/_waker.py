"""Events whose time has come."""

from datetime import timedelta
from typing import Final

from arvo_core import InvalidEventError
from arvo_time import Clock

from ._delivery import Delivery
from ._messages import Envelope, read
from ._outbox import Outbox

_LONGEST_NAP: Final = timedelta(hours=1)


class Waker:
    """Moves events of one topic from where they wait for their time to where they are handed out.

    Args:
        topic: The topic.
        outbox: What stores them, and letters.
        clock: What says whether it is time.
    """

    def __init__(self, topic: str, *, outbox: Outbox, clock: Clock) -> None:
        self._topic = topic
        self._outbox = outbox
        self._clock = clock

    async def wake(self, delivery: Delivery) -> None:
        """Put an event whose time has come where it is handed out; let others wait on.

        Raises:
            TransportError: It could not be stored.
        """
        envelope = Envelope.of(delivery.message.headers)
        now = self._clock.now()
        if envelope.due is not None and envelope.due > now:
            await delivery.give_back(delay=min(envelope.due - now, _LONGEST_NAP))
            return
        try:
            event = read(delivery.message.data)
        except InvalidEventError as error:
            await self.bury(delivery, error)
            return
        await self._outbox.wake(
            event, topic=self._topic, envelope=envelope, identity=delivery.identity
        )
        await delivery.acknowledge()

    async def bury(self, delivery: Delivery, error: Exception) -> None:
        """Keep bytes that are not an event as a letter.

        Raises:
            TransportError: It could not be stored.
        """
        await self._outbox.keep_unparsable(
            delivery.message.data, topic=self._topic, error=error, place=delivery.place
        )
        await delivery.acknowledge()
