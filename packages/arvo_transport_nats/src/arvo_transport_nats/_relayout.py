"""Gives topics another layout while they are in use."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api, errors as js_errors

from arvo_core import InvalidEventError
from arvo_event_handler.delivery import Order, ordering_key
from arvo_time import Clock
from arvo_transport import partition_of

from ._delivery import Delivery
from ._failure import DRIVER_ERRORS, transport_error
from ._intake import Intake
from ._layout import Layout, consumers_of
from ._messages import EXPECTED_STREAM, MESSAGE_ID, Message, read
from ._names import DELAYED, Names, token
from ._publisher import Publisher
from ._registry import LOOK_EVERY, Move, Registry, Topic, me

_LEASE: Final = timedelta(seconds=15)
_LOOK_EVERY: Final = timedelta(milliseconds=200)
_AT_A_TIME: Final = 200


class _LeaseLost(Exception):
    """Another process goes on with a move, as this one was too slow."""


class Relayout:
    """Moves topics.

    The registry says that a topic moves, and who moves it until when, so that another goes on after a
    crash. Then, in this order: nobody has an event of it in hand; it hands out nothing more, also to
    a worker that has not looked; its stream gives up its subjects; the new stream takes them, but publishers wait, as they expect the old one or see the
    move; events go over in order; the registry names the new stream; the old one is deleted.

    Args:
        client: The connection.
        js: JetStream.
        names: What is called how.
        registry: The topics.
        layout: Their streams.
        publisher: What stores events.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        client: Client,
        js: JetStreamContext,
        *,
        names: Names,
        registry: Registry,
        layout: Layout,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._client = client
        self._js = js
        self._names = names
        self._registry = registry
        self._layout = layout
        self._publisher = publisher
        self._clock = clock
        self._moving = asyncio.Lock()

    async def start(self, name: str, *, order: Order | None, partitions: int | None) -> None:
        """Give a topic another layout; goes on with what somebody has begun before.

        Raises:
            UnknownTopicError: Nobody has declared it.
            ValueError: `partitions` for a topic without order.
            TransportError: The server failed.
        """
        while True:
            topic = await self._registry.get(name)
            if topic.move is not None:
                await self.finish(name)
                continue
            wanted = topic.order if order is None else order
            if wanted == "none" and partitions not in (None, 1):
                raise ValueError(
                    f"topic {name!r} has no order, so it has one partition, not {partitions}; "
                    "give it an order too"
                )
            move = self._registry.move(topic, order=wanted, partitions=partitions)
            if (move.order, move.partitions) == (topic.order, topic.partitions):
                return
            if await self._registry.change(topic, move=move) is not None:
                await self.finish(name)
                return

    async def finish(self, name: str) -> None:
        """Move a topic that is to be moved, or wait until another has done so."""
        async with self._moving:
            await self._finish(name)

    async def _finish(self, name: str) -> None:
        while True:
            topic = await self._registry.get(name)
            if topic.move is None:
                return
            held = await self._lease(topic, topic.move)
            if held is None:
                await self._clock.sleep(_LOOK_EVERY)
                continue
            try:
                with suppress(_LeaseLost):
                    await self._go(held, topic.move)
            except DRIVER_ERRORS as error:
                raise transport_error(error, doing=f"lay out the topic {name!r} anew") from error

    async def _lease(self, topic: Topic, move: Move) -> Topic | None:
        """Say that this process moves a topic; None while another does, or has changed it."""
        mine = f"{me()}:{id(self)}"
        if move.by not in ("", mine) and move.until > self._clock.now():
            return None
        return await self._registry.change(
            topic,
            move=Move(
                order=move.order,
                partitions=move.partitions,
                by=mine,
                until=self._clock.now() + _LEASE,
            ),
        )

    async def _renewed(self, topic: Topic) -> Topic:
        latest = await self._registry.get(topic.name)
        renewed = None if latest.move is None else await self._lease(latest, latest.move)
        if renewed is None or renewed.generation != topic.generation:
            raise _LeaseLost
        return renewed

    async def _go(self, topic: Topic, move: Move) -> None:
        old = self._layout.stream_of(topic)
        target = Topic(
            name=topic.name,
            order=move.order,
            partitions=move.partitions,
            kind=topic.kind,
            owned=topic.owned,
            max_waiting=topic.max_waiting,
            declared_by=topic.declared_by,
            declared_at=topic.declared_at,
            generation=topic.generation + 1,
        )
        if await self._exists(old):
            topic = await self._empty_hands(topic)
            await self._layout.close(topic)
            parked = self._names.parked(topic.name, generation=topic.generation)
            await self._js.update_stream(await self._configuration(old), subjects=[parked])
            await self._layout.ensure(target)
            topic = await self._copy(topic, target=target)
        else:
            await self._layout.ensure(target)
        latest = await self._renewed(topic)
        changed = await self._registry.change(
            latest,
            order=move.order,
            partitions=move.partitions,
            generation=target.generation,
            move=None,
        )
        if changed is not None:
            with suppress(js_errors.NotFoundError):
                await self._js.delete_stream(old)

    # --- in hand ------------------------------------------------------------

    async def _empty_hands(self, topic: Topic) -> Topic:
        """Wait until no worker has an event in hand, and each has seen that the topic moves.

        What a worker had that died is in its hand until somebody pulls, so this does.
        """
        stream = self._layout.stream_of(topic)
        taken: dict[str, list[Delivery]] = {}
        intake = Intake(
            self._client,
            stream=stream,
            clock=self._clock,
            on_message=lambda message, consumer: self._hold(taken, message, consumer),
            on_end=lambda: None,
            filled=lambda: self._layout.filled(topic),
        )
        await intake.open()
        busy_at = self._clock.monotonic()
        try:
            while True:
                looked_at = self._clock.monotonic()
                pending = await self._pending(stream)
                missing = {
                    consumer: count - len(taken.get(consumer, ()))
                    for consumer, count in pending.items()
                    if consumer != DELAYED and count > len(taken.get(consumer, ()))
                }
                if missing:
                    busy_at = self._clock.monotonic()
                elif looked_at - busy_at > LOOK_EVERY.total_seconds():
                    if not await self._forget_handled(stream, taken):
                        return topic
                    busy_at = self._clock.monotonic()
                for consumer, count in missing.items():
                    if not intake.asked(consumer):
                        await intake.ask(consumer, batch=count, wait=timedelta(seconds=1))
                await self._clock.sleep(_LOOK_EVERY)
                for delivery in (each for held in taken.values() for each in held):
                    await delivery.extend()
                topic = await self._renewed(topic)
        finally:
            await intake.close(at_once=True)

    def _hold(self, taken: dict[str, list[Delivery]], message: Msg, consumer: str) -> None:
        delivery = Delivery(
            client=self._client,
            message=message,
            consumer=consumer,
            touched=self._clock.monotonic(),
        )
        held = taken.setdefault(consumer, [])
        if all(delivery.sequence != each.sequence for each in held):
            held.append(delivery)

    async def _forget_handled(self, stream: str, taken: dict[str, list[Delivery]]) -> bool:
        """Forget what its worker has handled all the same; return whether there was any.

        A late worker may acknowledge what this was handed meanwhile. Counted on, it would hide an
        event that a worker has in hand.
        """
        found = False
        for consumer, held in taken.items():
            there = await asyncio.gather(*(self._message(stream, each.sequence) for each in held))
            taken[consumer] = [
                each for each, message in zip(held, there, strict=True) if message is not None
            ]
            found = found or len(taken[consumer]) < len(held)
        return found

    async def _pending(self, stream: str) -> dict[str, int]:
        infos = await consumers_of(self._js, stream)
        return {info.name: info.num_ack_pending or 0 for info in infos}

    # --- the way over -------------------------------------------------------

    async def _copy(self, topic: Topic, *, target: Topic) -> Topic:
        old = self._layout.stream_of(topic)
        while True:
            state = (await self._js.stream_info(old)).state
            if not state.messages:
                return topic
            end = min(state.last_seq, state.first_seq + _AT_A_TIME - 1)
            found = await asyncio.gather(
                *(self._message(old, place) for place in range(state.first_seq, end + 1))
            )
            messages = [
                self._readdressed(each, target=target) for each in found if each is not None
            ]
            await self._publisher.store(messages, doing="move events")
            await self._js.purge_stream(old, seq=end + 1)
            topic = await self._renewed(topic)

    async def _message(self, stream: str, place: int) -> api.RawStreamMsg | None:
        try:
            return await self._js.get_msg(stream, seq=place)
        except js_errors.NotFoundError:
            return None

    def _readdressed(self, found: api.RawStreamMsg, *, target: Topic) -> Message:
        headers = {**(found.headers or {}), EXPECTED_STREAM: self._layout.stream_of(target)}
        headers.setdefault(MESSAGE_ID, f"moved:{target.generation}:{found.seq}")
        return Message(
            subject=self._names.subject(target.name, _part(found, target=target)),
            payload=found.data or b"",
            headers=headers,
        )

    async def _exists(self, stream: str) -> bool:
        try:
            await self._js.stream_info(stream)
        except js_errors.NotFoundError:
            return False
        return True

    async def _configuration(self, stream: str) -> api.StreamConfig:
        return (await self._js.stream_info(stream)).config


def _part(found: api.RawStreamMsg, *, target: Topic) -> int | str:
    if target.order == "none":
        delayed = (found.subject or "").endswith(f".{token(DELAYED)}")
        return DELAYED if delayed else 0
    try:
        key = ordering_key(read(found.data or b""), order=target.order)
    except InvalidEventError:
        return 0  # whoever gets it makes it a letter
    return partition_of(key, partitions=target.partitions)
