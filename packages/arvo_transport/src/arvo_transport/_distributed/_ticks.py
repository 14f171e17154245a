"""Publishes the ticks of timers to the topics of their workflows."""

import logging

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_event_handler.memory import DueMachine
from arvo_transport._topic import address_of
from arvo_transport._transport import IEventTransport

from ._telemetry import PUBLISHED, count


class Ticks:
    """Publishes ticks, for whichever worker has the workflow's handler.

    Args:
        transport: Where they go.
        logger: Where one is logged that cannot be published.
    """

    def __init__(self, transport: IEventTransport, *, logger: logging.Logger) -> None:
        self._transport = transport
        self._logger = logger

    async def publish(self, due: DueMachine, tick: ArvoEvent) -> None:
        """Publish the tick of a claimed timer.

        One that is claimed again is a copy on purpose, which no engine may drop.

        Raises:
            TransportError: The engine failed.
        """
        try:
            await self._transport.publish([tick], again=f"tick:{due.claims}")
        except UnroutableError as error:
            self._logger.warning("cannot fire a timer of %s: %s", due.machine_id, error)
        else:
            count(PUBLISHED, address_of(tick))
