"""The deliveries of one topic to one worker."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from typing_extensions import override

from arvo_core import InvalidEventError
from arvo_time import Clock
from arvo_time.cancellation import shielded
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_count, check_duration, check_flag, check_instance
from arvo_transport import (
    Dead,
    DeliveryLostError,
    Done,
    IEventInbox,
    Later,
    Received,
    Settlement,
    TransportClosedError,
    TransportError,
)

from ._delivery import Delivery
from ._failure import DRIVER_ERRORS, call, transport_error
from ._messages import Envelope, read
from ._names import Names
from ._outbox import Outbox
from ._presence import Presence
from ._receiver import Receiver

_logger = bounded_logger("arvo_transport_nats")


class NatsInbox(IEventInbox):
    """Hands out the events of a topic, and settles them.

    Args:
        client: The connection.
        receiver: What takes the messages.
        names: What is called how.
        outbox: What stores outputs and letters.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        client: Client,
        *,
        receiver: Receiver,
        names: Names,
        outbox: Outbox,
        clock: Clock,
    ) -> None:
        self._client = client
        self._receiver = receiver
        self._names = names
        self._outbox = outbox
        self._clock = clock
        self._held: set[Delivery] = set()
        self._closed = False
        self._presence: Subscription | None = None

    async def open(self) -> None:
        """Make the stream exist, and say that this worker is there."""
        await self._receiver.open()
        subject = self._names.presence(self._receiver.topic.name)
        try:
            self._presence = await self._client.subscribe(subject, cb=self._say_present)
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing="open an inbox") from error

    # --- in -----------------------------------------------------------------

    @property
    @override
    def patience(self) -> timedelta:
        return self._receiver.patience

    @override
    async def receive(self, limit: int) -> Sequence[Received]:
        check_count(limit, name="limit", least=1)
        self._check_open()
        while taken := await self._receiver.take(limit, in_hand=self._in_hand):
            events = [self._received(delivery) for delivery in taken]
            received = [each for each in events if each is not None]
            if received:
                return received
        self._check_open()
        return []

    @override
    async def pause(self) -> None:
        self._check_open()
        await self._receiver.pause()

    @override
    async def stop(self) -> None:
        self._check_open()
        await self._receiver.stop()

    # --- in hand ------------------------------------------------------------

    @override
    async def settle(self, received: Received, settlement: Settlement) -> None:
        self._check_settlement(settlement)
        self._check_open()
        delivery = self._delivery(received)
        self._check_held(delivery, received)
        if isinstance(settlement, Later):
            envelope = Envelope(
                again=received.again,
                failed=settlement.failed,
                due=_after(self._clock.now(), settlement.delay),
            )
            await self._outbox.postpone(
                received.event,
                topic=self._receiver.topic.name,
                envelope=envelope,
                place=delivery.place,
            )
        else:
            await self._outbox.carry_out(
                settlement,
                topic=self._receiver.topic.name,
                again=received.again,
                place=delivery.place,
            )
        self._check_held(delivery, received)  # storing may have taken long
        await call(delivery.acknowledge(), doing="acknowledge an event")
        self._held.discard(delivery)
        self._receiver.note_settled()

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        self._check_open()
        lost: list[Received] = []
        for received in held:
            delivery = self._delivery(received)
            if self._has(delivery):
                await self._receiver.keep(delivery)
            else:
                self._held.discard(delivery)
                lost.append(received)
        return lost

    @override
    async def release(
        self, held: Sequence[Received], *, pause: timedelta = timedelta(0), begun: bool = False
    ) -> None:
        check_flag(begun, name="begun")
        check_duration(pause, name="pause")
        self._check_open()
        deliveries = [self._delivery(received) for received in held]
        await self._receiver.give_back(filter(self._has, deliveries), pause=pause, begun=begun)
        self._held.difference_update(deliveries)

    async def close(self) -> None:
        """Receive nothing more, and release what is in hand. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await shielded(self._close())

    async def _close(self) -> None:
        try:
            await self._receiver.close()
            if not self._client.is_closed:
                await self._receiver.give_back(self._held, begun=True)
                if self._presence is not None:
                    await self._presence.unsubscribe()
                await self._client.flush()
        except (*DRIVER_ERRORS, TransportError):
            _logger.warning(
                "the server could not be told that an inbox of %r was closed; it will miss what "
                "was in hand after %s",
                self._receiver.topic.name,
                self._receiver.patience,
                exc_info=True,
            )
        finally:
            self._held.clear()

    # --- small --------------------------------------------------------------

    def _received(self, delivery: Delivery) -> Received | None:
        """Return an event in hand; None when the bytes are not one, and become a letter."""
        envelope = Envelope.of(delivery.message.headers)
        try:
            event = read(delivery.message.data)
        except InvalidEventError as error:
            self._receiver.bury(delivery, error)
            return None
        self._held.add(delivery)
        return Received(
            event,
            deliveries=delivery.deliveries,
            failed=envelope.failed,
            again=envelope.again,
            stored_at=delivery.message.metadata.timestamp,
            token=delivery,
        )

    async def _say_present(self, question: Msg) -> None:
        """Tell who looks at the topic what is in hand here, which the server does not."""
        if question.reply:
            presence = Presence(
                receiving=not self._receiver.stopped,
                in_hand=[each.sequence for each in self._in_hand()],
                arrived=self._receiver.arrived,
            )
            await self._client.publish(question.reply, presence.to_json())

    def _delivery(self, received: Received) -> Delivery:
        return check_instance(received.token, kind=Delivery, name="received.token")

    def _in_hand(self) -> list[Delivery]:
        return [each for each in self._held if self._has(each)]

    def _has(self, delivery: Delivery) -> bool:
        return delivery in self._held and not self._receiver.is_missed(delivery)

    def _check_held(self, delivery: Delivery, received: Received) -> None:
        if not self._has(delivery):
            self._held.discard(delivery)
            raise DeliveryLostError(received.event)

    def _check_open(self) -> None:
        if self._closed or self._client.is_closed:
            raise TransportClosedError("the inbox")

    def _check_settlement(self, settlement: Settlement) -> None:
        if isinstance(settlement, Later):
            check_duration(settlement.delay, name="delay")
            if self._receiver.topic.order != "none":
                raise ValueError(
                    f"topic {self._receiver.topic.name!r} is ordered: its events cannot be settled with "
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


def _after(now: datetime, delay: timedelta) -> datetime:
    try:
        return now + delay
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
