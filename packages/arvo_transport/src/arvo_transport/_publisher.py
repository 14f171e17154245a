"""Publishing for those who may have to wait: clients, and the door."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from arvo_core import ArvoEvent
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_clock

from ._errors import TopicFullError
from ._topic import address_of
from ._transport import IEventTransport

_LOOKS: Final = timedelta(seconds=1).total_seconds()


class Publisher:
    """Publishes events, unless a topic has as many waiting as its `max_waiting` allows.

    How many wait is looked up once a second and counted in between, so the limit is not exact:
    other publishers may exceed it by what they publish within a second, and a call that begins below
    it stores all its events. What handlers emit, and what is redriven, is never refused: it empties
    other topics.

    Args:
        transport: Where the topics are. It stays yours.
        clock: For the second.

    Example:
        >>> async def main() -> None:
        ...     transport = InMemoryTransport()
        ...     await transport.declare([TopicSpec("com.svc.pay", max_waiting=1)])
        ...     publisher = Publisher(transport)
        ...     for number in range(2):
        ...         event = ArvoEvent.create(
        ...             source="com.app.main", type="com.svc.pay", subject="s", data={}
        ...         )
        ...         try:
        ...             await publisher.publish([event])
        ...         except TopicFullError as error:
        ...             print(error.topic, error.waiting, error.limit)
        >>> asyncio.run(main())
        com.svc.pay 1 1
    """

    def __init__(self, transport: IEventTransport, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._transport = transport
        self._clock = check_clock(clock)
        self._lock = asyncio.Lock()
        self._looked_at: float | None = None
        self._limits: dict[str, int] = {}
        # Since the latest look; of topics that have a limit, once somebody publishes to them.
        self._waiting: dict[str, int] = {}

    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
    ) -> None:
        """Store events as `IEventTransport.publish` does, or none of them.

        Raises:
            TopicFullError: One of the topics has as many events waiting as it may; nothing was
                stored. Publish them again later.
            TransportError: The engine failed, as for `IEventTransport.publish`; so the others.
            EventTooLargeError: One is too large.
            UnroutableError: Nobody has declared one of the topics.
            ValueError: `at` cannot be.
        """
        async with self._lock:
            await self._admit(Counter(map(address_of, events)))
        await self._transport.publish(events, at=at, again=again)

    async def _admit(self, counts: Counter[str]) -> None:
        await self._look()
        limited = [topic for topic in counts if topic in self._limits]
        for topic in limited:
            if topic not in self._waiting:
                self._waiting[topic] = (await self._transport.depth(topic)).waiting
            waiting, limit = self._waiting[topic], self._limits[topic]
            if waiting >= limit:
                raise TopicFullError(topic, waiting=waiting, limit=limit)
        for topic in limited:
            self._waiting[topic] += counts[topic]

    async def _look(self) -> None:
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < _LOOKS:
            return
        self._limits = {
            state.name: state.max_waiting
            for state in await self._transport.topics()
            if state.max_waiting is not None and state.kind != "answers"
        }
        self._waiting.clear()
        self._looked_at = now
