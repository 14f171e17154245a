"""The deliveries of a topic, also after it was laid out in another way."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from typing_extensions import override

from arvo_time.settings import check_duration
from arvo_transport import (
    DeliveryLostError,
    IEventInbox,
    Received,
    Settlement,
    TransportClosedError,
    UnknownTopicError,
)

from ._inbox import Entry, Inbox
from ._inbox_ordered import OrderedInbox
from ._inbox_unordered import UnorderedInbox
from ._namespace import Namespace


class TopicInbox(IEventInbox):
    """Receives from a topic by an inbox for its layout, and from the next one by another.

    `start` it before use, and close it at the end.
    """

    def __init__(self, namespace: Namespace, *, topic: str) -> None:
        """Ask the server for nothing yet."""
        self._namespace = namespace
        self._topic = topic
        self._opened = AsyncExitStack()
        self._inbox: Inbox
        self._reopening = asyncio.Lock()
        self._stopped = False
        self._closed = False

    async def start(self) -> None:
        """Begin to receive.

        Raises:
            UnknownTopicError: Nobody has declared the topic.
            TransportError: The server failed.
        """
        namespace = self._namespace
        layout = await namespace.registry.layout(fresh=True)
        state = layout.topics.get(self._topic)
        if state is None:
            raise UnknownTopicError(self._topic)
        if state.kind == "answers":
            raise ValueError(f"topic {self._topic!r} is for answers, which wait in its answer box")
        kind = UnorderedInbox if state.order == "none" else OrderedInbox
        worker = secrets.token_hex(16)
        inbox = kind(namespace, state=state, version=layout.version, worker=worker)
        async with AsyncExitStack() as stack:
            self._inbox = await stack.enter_async_context(inbox.open())
            self._opened = stack.pop_all()

    @property
    @override
    def patience(self) -> timedelta:
        return self._namespace.lease

    @override
    async def receive(self, limit: int) -> Sequence[Received]:
        while True:
            self._check_open()
            inbox = self._inbox
            found = await inbox.receive(limit)
            if found or self._stopped:
                return found
            async with self._reopening:
                if self._inbox is inbox and not self._stopped:
                    await self._opened.aclose()
                    await self.start()

    @override
    async def settle(self, received: Received, settlement: Settlement) -> None:
        self._check_open()
        entry: Entry = received.token
        if entry.id not in entry.shard.held:
            entry.inbox.check(settlement)
            raise DeliveryLostError(received.event)
        await entry.inbox.settle(received, settlement)

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        self._check_open()
        former = [received for received in held if received.token.inbox is not self._inbox]
        return [*former, *await self._inbox.extend([each for each in held if each not in former])]

    @override
    async def release(
        self, held: Sequence[Received], *, pause: timedelta = timedelta(0), begun: bool = False
    ) -> None:
        self._check_open()
        check_duration(pause, name="pause")
        await self._inbox.release(
            [received for received in held if received.token.inbox is self._inbox],
            pause=pause,
            begun=begun,
        )

    @override
    async def pause(self) -> None:
        self._check_open()
        async with self._reopening:
            await self._inbox.pause()

    @override
    async def stop(self) -> None:
        self._stopped = True
        async with self._reopening:
            await self._inbox.stop()

    async def aclose(self) -> None:
        """Release what is in hand. Idempotent."""
        self._closed = True
        await self.stop()
        await self._opened.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise TransportClosedError("the inbox")
