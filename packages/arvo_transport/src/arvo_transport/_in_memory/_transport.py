"""One client of the engine in the process."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetterReason, Order, StoredLetter
from arvo_time.settings import check_count, check_flag, check_instance
from arvo_transport._capabilities import TransportCapabilities
from arvo_transport._topic import TopicDepth, TopicSpec, TopicState
from arvo_transport._transport import IAnswerBox, IAnsweringTransport, IEventInbox

from ._answer_box import AnswerBox
from ._connection import Connection
from ._engine import InMemoryEngine
from ._inbox import InMemoryInbox


class InMemoryTransport(IAnsweringTransport):
    """A transport within one process: the reference of `IEventTransport`, for tests.

    Transports of one engine stand for processes that share it. `kill` ends one as a crash would.
    Calls take a turn of the event loop to the engine and one back, so that they can be cancelled
    before they were made, and after.

    Args:
        engine: Where the events are; None for an engine of its own, on the real clock.

    Raises:
        TypeError: `engine` is not an `InMemoryEngine`.
    """

    def __init__(self, engine: InMemoryEngine | None = None) -> None:
        self._engine = (
            InMemoryEngine()
            if engine is None
            else check_instance(engine, kind=InMemoryEngine, name="engine")
        )
        self._store = self._engine._store  # noqa: SLF001 - hidden from users only
        self._connection = Connection()
        self._inboxes: list[InMemoryInbox] = []

    @property
    def engine(self) -> InMemoryEngine:
        """Where its events are; `InMemoryTransport(transport.engine)` is another client."""
        return self._engine

    def kill(self) -> None:
        """End this client as if its process had died: without a word to the engine.

        What its inboxes have in hand stays in hand until the engine's patience ends, and is then
        given to others. Calls that wait, and all later ones, raise `TransportClosedError`; those
        on their way may have been made or not. Idempotent.
        """
        self._connection.kill()
        for inbox in self._inboxes:
            inbox.cut()

    @property
    @override
    def capabilities(self) -> TransportCapabilities:
        return self._engine.capabilities

    @override
    async def declare(self, topics: Iterable[TopicSpec]) -> None:
        wanted = [check_instance(each, kind=TopicSpec, name="topics[...]") for each in topics]
        await self._connection.call(lambda: self._store.registry.declare(wanted))

    @override
    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
    ) -> None:
        if at is not None and at.utcoffset() is None:
            raise ValueError(f"at must have a time zone, got {at!r}")
        await self._connection.call(lambda: self._store.publish(events, at=at, again=again))

    @override
    def inbox(self, topic: TopicSpec, *, prefetch: int) -> AbstractAsyncContextManager[IEventInbox]:
        check_count(prefetch, name="prefetch", least=1)
        if topic.kind == "answers":
            raise ValueError(
                f"topic {topic.name!r} has answers, which wait in an answer box: use answers()"
            )
        return self._open_inbox(topic)

    @override
    async def topics(self) -> Sequence[TopicState]:
        return await self._connection.call(self._store.registry.states)

    @override
    async def pause(self, topic: str, *, paused: bool) -> None:
        check_flag(paused, name="paused")
        await self._connection.call(lambda: self._store.registry.get(topic).pause(paused=paused))

    @override
    async def relayout(
        self, topic: str, *, order: Order | None = None, partitions: int | None = None
    ) -> None:
        if partitions is not None:
            check_count(partitions, name="partitions", least=1)
        if order not in (None, "subject", "key", "none"):
            raise ValueError(f'order must be "subject", "key" or "none", got {order!r}')
        self._connection.check()
        await self._connection.pass_on()
        moving = self._store.registry.relayout(topic, order=order, partitions=partitions)
        await self._connection.wait(moving)

    @override
    async def peek(self, topic: str, *, limit: int = 20) -> Sequence[ArvoEvent]:
        return await self._connection.call(lambda: self._store.peek(topic, limit=limit))

    @override
    async def depth(self, topic: str) -> TopicDepth:
        return await self._connection.call(lambda: self._store.depth(topic))

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
        return await self._connection.call(
            lambda: self._store.letters.find(
                topic, reason=reason, type=type, after=after, limit=limit
            )
        )

    @override
    async def redrive(self, keys: Iterable[str], *, force: bool = False) -> int:
        check_flag(force, name="force")
        return await self._connection.call(lambda: self._store.redrive(keys, force=force))

    @override
    async def drop(self, keys: Iterable[str]) -> int:
        return await self._connection.call(lambda: self._store.letters.drop(keys))

    @override
    async def ping(self) -> None:
        await self._connection.call(lambda: None)

    @override
    def answers(self, address: str) -> AbstractAsyncContextManager[IAnswerBox]:
        return self._open_answers(address)

    @override
    async def aclose(self) -> None:
        if not self._connection.killed:
            for inbox in self._inboxes:
                inbox.close()
        self._connection.close()

    @asynccontextmanager
    async def _open_inbox(self, spec: TopicSpec) -> AsyncIterator[IEventInbox]:
        topic = await self._connection.call(lambda: self._store.registry.get(spec.name))
        inbox = InMemoryInbox(
            topic,
            store=self._store,
            connection=self._connection,
            patience=self._engine.patience,
        )
        self._inboxes.append(inbox)
        try:
            yield inbox
        finally:
            inbox.close()
            self._inboxes.remove(inbox)

    @asynccontextmanager
    async def _open_answers(self, address: str) -> AsyncIterator[IAnswerBox]:
        await self._connection.call(lambda: None)
        yield AnswerBox(self._store.answers, address=address, connection=self._connection)
