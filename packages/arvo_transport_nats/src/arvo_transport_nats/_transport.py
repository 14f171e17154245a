"""The transport over NATS JetStream."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final, Self

from nats.aio.client import Client
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import DeadLetterReason, Order, StoredLetter
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.cancellation import shielded
from arvo_time.settings import check_clock, check_count, check_duration, check_flag, check_instance
from arvo_transport import (
    IAnswerBox,
    IAnsweringTransport,
    IEventInbox,
    TopicDepth,
    TopicSpec,
    TopicState,
    TransportCapabilities,
    TransportClosedError,
)

from ._answers import Answers
from ._connection import connected
from ._failure import DRIVER_ERRORS, not_opened, transport_error
from ._inbox import NatsInbox
from ._layout import DUPLICATES_DROPPED_FOR, Layout
from ._letters import Letters
from ._look import Look
from ._names import Names
from ._outbox import Outbox
from ._publisher import Publisher
from ._receiver import Receiver
from ._registry import Registry, Topic
from ._relayout import Relayout
from ._requests import jetstream
from ._returns import Returns

_BESIDE_THE_EVENT: Final = 64 * 1024
"""What a letter may take beside its event."""
_HEADERS: Final = 4 * 1024
_DAY: Final = timedelta(days=1)


class NatsTransport(IAnsweringTransport):
    """Carries events between processes over NATS JetStream.

    A topic is a stream. The server itself keeps the order of one that has an order, by a consumer
    for each of its partitions that hands out one event at a time. Use it from the tasks of one event
    loop.

    `NatsTransport.connect` opens a connection of its own. The constructor takes yours, and never
    closes it; let it reconnect without end, as by `max_reconnect_attempts=-1`.

    Args:
        client: A connected client of nats-py.
        namespace: What all streams, subjects and buckets begin with: 1 to 40 letters, digits and -.
        partitions: How many parts a new ordered topic has; at most so many of its events are handled
            at a time, over all workers.
        replicas: How many servers of a cluster keep each stream; 1 to 5.
        patience: How long an event of a topic that is declared by this transport first stays with a
            worker that says nothing, `ack_wait` of its consumers; at least one second.
        answers_kept: How long answers can be fetched.
        reply_timeout: How long the server may take to reply.
        clock: Where the time comes from.

    Raises:
        TypeError: A value is of another type than its argument.
        ValueError: A value is out of its bounds.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str = "arvo",
        partitions: int = 64,
        replicas: int = 1,
        patience: timedelta = timedelta(seconds=30),
        answers_kept: timedelta = _DAY,
        reply_timeout: timedelta = timedelta(seconds=5),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._client = check_instance(client, kind=Client, name="client")
        self._clock = check_clock(clock)
        self._names = Names(check_instance(namespace, kind=str, name="namespace"))
        check_count(partitions, name="partitions", least=1)
        self._replicas = check_count(replicas, name="replicas", least=1)
        check_duration(patience, name="patience")
        if patience < timedelta(seconds=1):
            raise ValueError(f"patience must be at least one second, got {patience}")
        check_duration(answers_kept, name="answers_kept", above_zero=True)
        check_duration(reply_timeout, name="reply_timeout", above_zero=True)
        self._answers_kept = answers_kept
        self._max_event_bytes = client.max_payload - _BESIDE_THE_EVENT
        self._js = jetstream(client, reply_timeout=reply_timeout)
        self._publisher = Publisher(client, clock=clock, timeout=reply_timeout)
        self._registry = Registry(self._js, names=self._names, clock=clock, partitions=partitions)
        self._layout = Layout(self._js, names=self._names, patience=patience, replicas=replicas)
        self._letters = Letters(
            self._js,
            names=self._names,
            layout=self._layout,
            clock=clock,
            max_bytes=client.max_payload - _HEADERS,
        )
        self._returns = Returns(
            self._js, publisher=self._publisher, names=self._names, layout=self._layout
        )
        self._answers = Answers(
            client,
            self._js,
            names=self._names,
            kept=answers_kept,
            clock=clock,
            replicas=replicas,
        )
        self._outbox = Outbox(
            self._publisher,
            registry=self._registry,
            layout=self._layout,
            names=self._names,
            answers=self._answers,
            letters=self._letters,
            clock=clock,
            max_event_bytes=self._max_event_bytes,
        )
        self._relayout = Relayout(
            client,
            self._js,
            names=self._names,
            registry=self._registry,
            layout=self._layout,
            publisher=self._publisher,
            clock=clock,
        )
        self._look = Look(
            client,
            self._js,
            names=self._names,
            layout=self._layout,
            letters=self._letters,
            clock=clock,
        )
        self._inboxes: set[NatsInbox] = set()
        self._opening = asyncio.Lock()
        self._open = False
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        namespace: str = "arvo",
        partitions: int = 64,
        replicas: int = 1,
        patience: timedelta = timedelta(seconds=30),
        answers_kept: timedelta = _DAY,
        reply_timeout: timedelta = timedelta(seconds=5),
        credentials: str | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Connect for as long as the block lasts.

        A lost connection comes back by itself, after pauses of up to 30 seconds at random.

        Args:
            url: `nats://` or `tls://`, with a name and password where the server wants them, or a
                token as the name. Several servers of a cluster follow each other with commas.
            namespace: See the class.
            partitions: See the class.
            replicas: See the class.
            patience: See the class.
            answers_kept: See the class.
            reply_timeout: See the class; also how long connecting may take.
            credentials: A file of credentials with a JWT and its key; None for none. That needs the
                package nkeys.
            tls: How servers are verified; None for the authorities that the system trusts.
            clock: See the class.

        Raises:
            TransportError: No server can be reached, it refuses the credentials, they cannot be
                read, or it has no JetStream.
            TypeError: As for the class.
            ValueError: As for the class.
        """
        async with connected(
            url, credentials=credentials, tls=tls, reply_timeout=reply_timeout, clock=clock
        ) as client:
            transport = cls(
                client,
                namespace=namespace,
                partitions=partitions,
                replicas=replicas,
                patience=patience,
                answers_kept=answers_kept,
                reply_timeout=reply_timeout,
                clock=clock,
            )
            try:
                await transport._ready()
                yield transport
            finally:
                await transport.aclose()

    @property
    @override
    def capabilities(self) -> TransportCapabilities:
        return TransportCapabilities(
            ordered=True,
            atomic_settle=False,
            longest_delay=timedelta.max,
            duplicates_dropped_for=DUPLICATES_DROPPED_FOR,
            counts_returns=False,
            max_event_bytes=self._max_event_bytes,
            keeps_answers=self._answers_kept,
        )

    # --- topics -------------------------------------------------------------

    @override
    async def declare(self, topics: Iterable[TopicSpec]) -> None:
        wanted = [check_instance(each, kind=TopicSpec, name="topics[...]") for each in topics]
        await self._ready()
        for topic in await self._registry.declare(wanted):
            if topic.kind == "answers":
                continue
            if topic.move is None:
                await self._layout.ensure(topic)
            else:
                await self._relayout.finish(topic.name)

    @override
    async def topics(self) -> Sequence[TopicState]:
        await self._ready()
        return [topic.state() for topic in await self._registry.all()]

    @override
    async def pause(self, topic: str, *, paused: bool) -> None:
        check_flag(paused, name="paused")
        await self._ready()
        while True:
            found = await self._registry.get(topic)
            if found.paused == paused:
                return
            if await self._registry.change(found, paused=paused) is not None:
                return

    @override
    async def relayout(
        self, topic: str, *, order: Order | None = None, partitions: int | None = None
    ) -> None:
        if partitions is not None:
            check_count(partitions, name="partitions", least=1)
        if order not in (None, "subject", "key", "none"):
            raise ValueError(f'order must be "subject", "key" or "none", got {order!r}')
        await self._ready()
        await self._relayout.start(topic, order=order, partitions=partitions)

    @override
    async def peek(self, topic: str, *, limit: int = 20) -> Sequence[ArvoEvent]:
        check_count(limit, name="limit", least=1)
        return await self._look.peek(await self._topic(topic), limit=limit)

    @override
    async def depth(self, topic: str) -> TopicDepth:
        return await self._look.depth(await self._topic(topic))

    # --- events -------------------------------------------------------------

    @override
    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
    ) -> None:
        if at is not None and at.utcoffset() is None:
            raise ValueError(f"at must have a time zone, got {at!r}")
        await self._ready()
        await self._outbox.publish(events, at=at, again=again)

    @override
    def inbox(self, topic: TopicSpec, *, prefetch: int) -> AbstractAsyncContextManager[IEventInbox]:
        check_count(prefetch, name="prefetch", least=1)
        if topic.kind == "answers":
            raise ValueError(
                f"topic {topic.name!r} has answers, which wait in an answer box: use answers()"
            )
        return self._open_inbox(topic)

    @override
    def answers(self, address: str) -> AbstractAsyncContextManager[IAnswerBox]:
        return self._open_answers(address)

    # --- letters ------------------------------------------------------------

    @override
    async def dead_letters(
        self,
        topic: str | None = None,
        *,
        reason: DeadLetterReason | str | None = None,
        type: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[StoredLetter]:
        await self._ready()
        return await self._letters.find(topic, reason=reason, type=type, after=after, limit=limit)

    @override
    async def redrive(self, keys: Iterable[str], *, force: bool = False) -> int:
        check_flag(force, name="force")
        await self._ready()
        redriven = await self._letters.publishable(keys, force=force)
        for _, event, topic in redriven:
            if await self._registry.look(topic) is None:
                raise UnroutableError(event)
        for letter, event, topic in redriven:
            await self._outbox.redrive(event, topic=topic, key=letter.key)
            await self._letters.drop([letter.key])
        return len(redriven)

    @override
    async def drop(self, keys: Iterable[str]) -> int:
        await self._ready()
        return await self._letters.drop(keys)

    # --- life ---------------------------------------------------------------

    @override
    async def ping(self) -> None:
        await self._ready()
        try:
            await self._js.account_info()
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing="give a sign of life") from error

    @override
    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        for inbox in list(self._inboxes):
            await inbox.close()
        await self._close_listeners()

    async def _ready(self) -> None:
        """Check that the transport is open, and make what all calls need exist."""
        self._check_open()
        if self._open:
            return
        # What a cancelled call has opened, the next one would open again.
        await shielded(self._make_ready())

    async def _make_ready(self) -> None:
        async with self._opening:
            if self._open:
                return
            try:
                await self._js.account_info()
                await self._publisher.open()
                await self._registry.open(replicas=self._replicas)
                await self._letters.open()
                await self._returns.open()
            except DRIVER_ERRORS as error:
                await self._close_listeners()
                raise not_opened(error) from error
            self._open = True

    async def _close_listeners(self) -> None:
        with suppress(*DRIVER_ERRORS):
            await self._registry.close()
            await self._publisher.close()

    def _check_open(self) -> None:
        if self._closed or self._client.is_closed:
            raise TransportClosedError

    async def _topic(self, name: str) -> Topic:
        await self._ready()
        return await self._registry.get(name)

    @asynccontextmanager
    async def _open_inbox(self, spec: TopicSpec) -> AsyncIterator[IEventInbox]:
        receiver = Receiver(
            self._client,
            topic=await self._topic(spec.name),
            registry=self._registry,
            layout=self._layout,
            outbox=self._outbox,
            returns=self._returns,
            clock=self._clock,
        )
        inbox = NatsInbox(
            self._client,
            receiver=receiver,
            names=self._names,
            outbox=self._outbox,
            clock=self._clock,
        )
        self._inboxes.add(inbox)
        try:
            await inbox.open()
            yield inbox
        finally:
            self._inboxes.discard(inbox)
            await inbox.close()

    @asynccontextmanager
    async def _open_answers(self, address: str) -> AsyncIterator[IAnswerBox]:
        await self._ready()
        async with self._answers.box(address) as box:
            yield box
