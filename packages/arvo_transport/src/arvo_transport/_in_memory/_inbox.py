"""The deliveries of a topic to one client."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from typing_extensions import override

from arvo_time.settings import check_count, check_duration, check_instance
from arvo_transport._errors import DeliveryLostError, TransportClosedError
from arvo_transport._settlement import Dead, Done, Later, Received, Settlement
from arvo_transport._transport import IEventInbox

from ._connection import Connection
from ._engine_clock import microseconds
from ._entry import Entry, LaneKey, Microseconds
from ._registry import Topic
from ._store import Store


class InMemoryInbox(IEventInbox):
    """An inbox of an engine in the process.

    Args:
        topic: The topic.
        store: What the engine keeps.
        connection: The client's.
        patience: The engine's.
    """

    def __init__(
        self,
        topic: Topic,
        *,
        store: Store,
        connection: Connection,
        patience: timedelta,
    ) -> None:
        self._topic = topic
        self._store = store
        self._connection = connection
        self._patience = patience
        self._stopped = False
        self._closed = False
        self._shunned: dict[LaneKey, Microseconds] = {}
        topic.inboxes.add(self)

    @property
    @override
    def patience(self) -> timedelta:
        return self._patience

    @override
    async def receive(self, limit: int) -> Sequence[Received]:
        check_count(limit, name="limit", least=1)
        self._check_open()
        await self._connection.pass_on()
        while not self._stopped:
            self._shunned = {
                key: until
                for key, until in self._shunned.items()
                if until > self._topic.log.clock.now()
            }
            taken = self._topic.log.take(self, limit=limit, shunned=self._shunned)
            if taken:
                return await self._on_their_way(taken)
            await self._topic.log.change(before=self._shunned.values())
            await self._connection.pass_on()
        return []

    @override
    async def settle(self, received: Received, settlement: Settlement) -> None:
        self._check_settlement(settlement)
        self._check_open()
        await self._connection.call(lambda: self._settle(received, settlement))

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        self._check_open()
        return await self._connection.call(lambda: self._extend(held))

    @override
    async def release(
        self, held: Sequence[Received], *, pause: timedelta = timedelta(0), begun: bool = False
    ) -> None:
        check_duration(pause, name="pause")
        self._check_open()
        await self._connection.call(lambda: self._release(held, pause=pause, begun=begun))

    @override
    async def pause(self) -> None:
        self._check_open()
        await self._connection.pass_on()  # it is given nothing but what `receive` returns

    @override
    async def stop(self) -> None:
        self._check_open()
        self._stop()
        await self._connection.pass_on()

    def close(self) -> None:
        """Receive nothing more, and release what is in hand. Idempotent."""
        if not self._closed:
            self._closed = True
            self._stop()
            self._topic.log.give_back(self._topic.log.in_hand_of(self), begun=True)

    def cut(self) -> None:
        """Receive nothing more, as the client was killed; what is in hand stays there."""
        self._closed = True
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        self._topic.inboxes.discard(self)
        self._topic.log.notify()

    def _check_open(self) -> None:
        self._connection.check()
        if self._closed:
            raise TransportClosedError("the inbox")

    def _check_settlement(self, settlement: Settlement) -> None:
        if isinstance(settlement, Later):
            check_duration(settlement.delay, name="delay")
            if self._topic.log.order != "none":
                raise ValueError(
                    f"topic {self._topic.name!r} is ordered: its events cannot be settled with "
                    "Later, as others wait for them; keep the event, or release it with a pause"
                )
        elif isinstance(settlement, Done):
            if settlement.work:
                raise TypeError(
                    "this transport joins no database, so it cannot run `work`: give the handlers "
                    "a memory of their own"
                )
        else:
            check_instance(settlement, kind=Dead, name="settlement")

    async def _on_their_way(self, taken: list[Entry]) -> Sequence[Received]:
        received = [_received(entry) for entry in taken]
        try:
            await self._connection.pass_on()
        except asyncio.CancelledError:
            self._topic.log.give_back(self._still_held(received))
            raise
        if self._stopped:
            self._topic.log.give_back(self._still_held(received))
            return []
        return received

    def _settle(self, received: Received, settlement: Settlement) -> None:
        held = self._still_held([received])
        if not held:
            raise DeliveryLostError(received.event)
        self._store.settle(held[0], settlement, topic=self._topic, again=received.again)

    def _extend(self, held: Sequence[Received]) -> Sequence[Received]:
        lost: list[Received] = []
        for received in held:
            entries = self._still_held([received])
            if entries:
                self._topic.log.extend(entries[0])
            else:
                lost.append(received)
        return lost

    def _release(self, held: Sequence[Received], *, pause: timedelta, begun: bool) -> None:
        keys = self._topic.log.give_back(self._still_held(held), begun=begun)
        if pause:
            until = self._topic.log.clock.now() + microseconds(pause)
            self._shunned.update(dict.fromkeys(keys, until))

    def _still_held(self, held: Sequence[Received]) -> list[Entry]:
        entries: list[Entry] = []
        for received in held:
            entry, delivery = received.token
            if self._topic.log.holds(self, entry, delivery=delivery):
                entries.append(entry)
        return entries


def _received(entry: Entry) -> Received:
    return Received(
        entry.event,
        deliveries=entry.deliveries,
        failed=entry.failed,
        again=entry.again,
        stored_at=entry.stored_at,
        token=(entry, entry.handed_out),
    )
