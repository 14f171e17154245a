"""How much waits in the topics of a worker, looked up while somebody measures it."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from typing_extensions import override

from arvo_time import Clock
from arvo_transport._errors import TransportError
from arvo_transport._transport import IEventTransport

from ._telemetry import Measured, measured

_INTERVAL: Final = timedelta(seconds=5)


class Gauges(Measured):
    """Looks at the depth of some topics every five seconds, if it was asked for it meanwhile.

    Args:
        transport: Where they are.
        topics: Their names.
        clock: For the interval.
    """

    def __init__(self, transport: IEventTransport, *, topics: Sequence[str], clock: Clock) -> None:
        self._transport = transport
        self._topics = topics
        self._clock = clock
        self._asked = False
        self._found: dict[str, tuple[int, float]] = {}

    @override
    def measures(self) -> Iterable[tuple[str, int, float]]:
        self._asked = True
        return [(topic, depth, lag) for topic, (depth, lag) in [*self._found.items()]]

    async def run(self) -> None:
        """Look, as long as it lasts."""
        measured.add(self)
        try:
            while True:
                await self._clock.sleep(_INTERVAL)
                if self._asked:
                    self._asked = False
                    await self._look()
        finally:
            measured.discard(self)

    async def _look(self) -> None:
        for topic in self._topics:
            try:
                depth = await self._transport.depth(topic)
            except TransportError:
                self._found.pop(topic, None)
                continue
            oldest = depth.oldest
            lag = 0.0 if oldest is None else (self._clock.now() - oldest).total_seconds()
            self._found[topic] = depth.waiting, max(0.0, lag)
