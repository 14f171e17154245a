"""The topics of one broker, how they begin to be served, and how that ends."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

from typing_extensions import override

from arvo_event_handler.delivery import (
    BrokerStats,
    Endable,
    Listeners,
    TimerPump,
    stop_topics,
)
from arvo_time import Clock
from arvo_transport._topic import TopicSpec
from arvo_transport._transport import IEventTransport

from ._gauges import Gauges
from ._served_topic import ServedTopic


class Worker(Endable):
    """Serves topics until it is stopped.

    Args:
        transport: Where the topics are.
        listeners: Hear of dead letters and errors.
        pump: Fires the timers of the handlers' workflows.
        clock: For all that is waited for.
    """

    def __init__(
        self, transport: IEventTransport, *, listeners: Listeners, pump: TimerPump, clock: Clock
    ) -> None:
        self._transport = transport
        self._listeners = listeners
        self._pump = pump
        self._clock = clock
        self.topics: list[ServedTopic] = []
        """What it serves."""
        self.serving: asyncio.Event = asyncio.Event()
        """Whether it receives events."""

    @property
    @override
    def stats(self) -> BrokerStats:
        topics = {each.spec.name: each.stats for each in self.topics}
        return BrokerStats(
            queued=sum(each.queued + each.sleeping for each in topics.values()),
            unfinished=sum(each.unfinished for each in self.topics)
            + self._listeners.topic.queued
            + self._listeners.topic.running,
            topics=topics,
        )

    async def serve(self, asked: Sequence[TopicSpec]) -> None:
        """Declare the topics, and serve them until this is cancelled.

        Args:
            asked: Topics to declare that others serve.

        Raises:
            TopicConflictError: A topic has another order.
            TransportError: The engine cannot be reached, or the transport was closed.
        """
        await self._transport.declare([*(each.spec for each in self.topics), *asked])
        async with AsyncExitStack() as stack:
            loops: list[Callable[[], Coroutine[Any, Any, None]]] = []
            for topic in self.topics:
                inbox = await stack.enter_async_context(
                    self._transport.inbox(topic.spec, prefetch=topic.topic.prefetch)
                )
                topic.opened(inbox)
                loops += topic.intake.run, partial(topic.extension.run, inbox)
            names = [each.spec.name for each in self.topics]
            loops.append(Gauges(self._transport, topics=names, clock=self._clock).run)
            self.serving.set()
            self._pump.start()
            try:
                await _all_of(loops)
            finally:
                self._pump.stop()
                await self._pump.ended()

    # --- ending -------------------------------------------------------------

    @override
    def stop_accepting(self) -> None:
        self._pump.stop()
        for topic in self.topics:
            topic.draining = True
            topic.intake.close()

    @override
    async def wait_idle(self) -> None:
        await asyncio.gather(*(topic.stop() for topic in self.topics))
        for topic in self.topics:
            await topic.give_back_sleeping()
        await asyncio.gather(*(topic.topic.wait_empty() for topic in self.topics))
        await asyncio.gather(*(topic.give_back_strays() for topic in self.topics))
        await self._listeners.topic.wait_empty()

    @override
    def give_up_queued(self) -> None:
        for topic in self.topics:
            topic.abandon()

    @override
    async def wait_handlers(self) -> None:
        await asyncio.gather(*(topic.stop() for topic in self.topics))
        # Others have at once what was not begun.
        await asyncio.gather(*(topic.give_back_strays() for topic in self.topics))
        await asyncio.gather(*(topic.topic.wait_idle() for topic in self.topics))

    @override
    async def stop_handlers(self, *, patience: timedelta) -> None:
        for topic in self.topics:
            topic.closing = True
        await stop_topics(
            [topic.topic for topic in self.topics], patience=patience, clock=self._clock
        )

    @override
    async def stop_listeners(self, *, patience: timedelta) -> None:
        await self._listeners.stop(patience=patience)


async def _all_of(loops: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run functions until one fails or all have ended."""
    tasks = [asyncio.ensure_future(loop()) for loop in loops]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
