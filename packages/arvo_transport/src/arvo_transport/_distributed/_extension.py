"""Keeps events in hand that are still being handled."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from arvo_time import Clock
from arvo_transport._errors import TransportClosedError, TransportError
from arvo_transport._settlement import Received
from arvo_transport._transport import IEventInbox

from ._health import Health
from ._held_delivery import HeldDelivery

_SOON: Final = timedelta(seconds=1)


class Extension:
    """Tells the engine three times within its patience, in one call, what is still in hand.

    Args:
        topic: What the topic is called.
        held: What is in hand.
        health: Knows of failures.
        clock: For the time between the calls.
    """

    def __init__(
        self,
        topic: str,
        *,
        held: Mapping[Received, HeldDelivery],
        health: Health,
        clock: Clock,
    ) -> None:
        self._what = f"keep events of {topic} in hand"
        self._held = held
        self._health = health
        self._clock = clock

    async def run(self, inbox: IEventInbox) -> None:
        """Do so, as long as it lasts.

        Args:
            inbox: Where they are in hand.

        Raises:
            TransportClosedError: The transport was closed.
        """
        interval = inbox.patience / 3
        pause = interval
        while True:
            await self._clock.sleep(pause)
            try:
                await self._extend(inbox)
            except TransportClosedError:
                raise
            except TransportError as error:
                self._health.failed(self._what, error)
                pause = min(interval, _SOON)
            else:
                self._health.works(self._what)
                pause = interval

    async def _extend(self, inbox: IEventInbox) -> None:
        in_hand = [*self._held]
        if not in_hand:
            return
        for received in await inbox.extend(in_hand):
            held = self._held.get(received)
            if held is not None:
                # If it runs, it is left to finish: its settlement is refused.
                held.lost = True
