"""What arrives for an inbox: asked for, kept while it waits, and given back when nobody wants it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from arvo_core import InvalidEventError
from arvo_time import Backoff, Clock
from arvo_time.cancellation import shielded
from arvo_time.logs import bounded_logger
from arvo_transport import TransportClosedError, TransportError

from ._delivery import Delivery
from ._errands import Errands
from ._failure import DRIVER_ERRORS, call, transport_error
from ._intake import Intake
from ._layout import Layout
from ._names import DELAYED
from ._outbox import Outbox
from ._registry import LOOK_EVERY, Registry, Topic
from ._returns import Returns
from ._turns import Turns
from ._waker import Waker

_logger = bounded_logger("arvo_transport_nats")

_KEPT_UNCLAIMED: Final = timedelta(milliseconds=100)
_DELAYED_AT_A_TIME: Final = 256
_RETRIES: Final = 6
_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=100), maximum=timedelta(seconds=5))


class Receiver:
    """Takes the messages of one topic for one worker.

    Args:
        client: The connection.
        topic: The topic.
        registry: The topics.
        layout: Their streams.
        outbox: What stores letters, and events whose time has come.
        returns: How often events were given back.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        client: Client,
        *,
        topic: Topic,
        registry: Registry,
        layout: Layout,
        outbox: Outbox,
        returns: Returns,
        clock: Clock,
    ) -> None:
        self._client = client
        self._topic = topic
        self._registry = registry
        self._layout = layout
        self._returns = returns
        self._waker = Waker(topic.name, outbox=outbox, clock=clock)
        self._clock = clock
        self._patience = layout.patience
        self._intake: Intake | None = None
        self._turns = self._new_turns(topic)
        self._asking = asyncio.Lock()
        self._arrived: deque[Delivery] = deque()
        self._late: list[Delivery] = []
        """What pulls brought that were given up, and others did not take either."""
        self._changed = asyncio.Event()
        self._unclaimed = asyncio.Event()
        self._receiving = 0
        self._left_at = clock.monotonic()
        self._looked_at = clock.monotonic()
        self._failures = 0
        self._stopped = False
        self._errands = Errands(topic.name)
        self._closing = Errands(topic.name)
        self._unlisten = registry.listen(self._changed.set)

    async def open(self) -> None:
        """Make the stream exist, and tend what arrives from now on."""
        if self._topic.move is None:
            self._patience = await self._layout.ensure(self._topic)
        self._errands.start(self._tend())
        self._errands.start(self._return_unclaimed())

    @property
    def topic(self) -> Topic:
        """The topic, as it was when it was last looked at."""
        return self._topic

    @property
    def patience(self) -> timedelta:
        """How long the server leaves a message in hand without a word."""
        return self._patience

    @property
    def arrived(self) -> int:
        """How many messages it was given that nobody has taken yet."""
        return len(self._arrived) + len(self._late)

    @property
    def stopped(self) -> bool:
        """Whether it takes nothing more."""
        return self._stopped

    async def take(
        self, limit: int, *, in_hand: Callable[[], Iterable[Delivery]]
    ) -> list[Delivery]:
        """Wait for at least one message, and return up to `limit`; none once it was stopped.

        Args:
            limit: How many at most.
            in_hand: Returns what the worker has already.
        """
        self._receiving += 1
        try:
            while not self._stopped:
                if self._client.is_closed:
                    raise TransportClosedError("the inbox")
                self._changed.clear()
                if await self._follow():
                    taken = self._taken(limit)
                    if taken:
                        return await self._looked_up(taken)
                    await self._ask(limit, in_hand)
                if not self._arrived:
                    await self._wait()
            return []
        except asyncio.CancelledError:
            if self._receiving == 1:
                await self._leave_off()
            raise
        finally:
            self._receiving -= 1
            self._left_at = self._clock.monotonic()
            self._note_unclaimed()

    async def _looked_up(self, taken: list[Delivery]) -> list[Delivery]:
        try:
            await self._returns.look(taken)
            await self._refresh(taken)
        except BaseException:  # nobody gets what was taken
            await shielded(self.give_back(taken))
            raise
        return taken

    async def pause(self) -> None:
        """Give up all pulls; what they have brought, or bring all the same, is given back."""
        async with self._asking:
            await self._shut()
            await shielded(self._closing.done())

    async def stop(self) -> None:
        """Take nothing more; what comes all the same is given back."""
        self._stopped = True
        self._changed.set()
        await self.pause()

    async def close(self) -> None:
        """Stop, and end what runs beside; without a connection, say nothing to the server."""
        self._stopped = True
        self._unlisten()
        self._changed.set()
        await self._errands.close()
        if self._client.is_closed:
            await self._closing.close()
        else:
            await self.stop()

    # --- in hand ------------------------------------------------------------

    def is_missed(self, delivery: Delivery) -> bool:
        """Return whether the server has heard nothing for so long that others may have it."""
        since = self._clock.monotonic() - delivery.touched
        return since >= self._patience.total_seconds()

    async def keep(self, delivery: Delivery) -> None:
        """Say that a message is still being worked on.

        Raises:
            TransportError: It could not be said.
        """
        now = self._clock.monotonic()
        await call(delivery.extend(), doing="extend an event")
        if self._client.is_connected:
            delivery.touched = now

    async def give_back(
        self,
        deliveries: Iterable[Delivery],
        *,
        pause: timedelta = timedelta(0),
        begun: bool = False,
    ) -> None:
        """Let others have messages, and leave them to others for a while.

        Args:
            deliveries: The messages.
            pause: How long.
            begun: Whether who gets them next must see that they were handed out before.

        Raises:
            TransportError: It could not be said.
        """
        if self._topic.order == "none" and self._receiving == 0:
            await self._shut()  # or they would come here again
        left = [each for each in deliveries if not self.is_missed(each)]
        if self._client.is_connected:
            await self._returns.note([each for each in left if not begun or each.deliveries > 1])
        for delivery in left:
            if not self.is_missed(delivery):
                self._turns.pass_over(delivery, pause=pause)
                await call(delivery.give_back(), doing="release an event")
        self._changed.set()

    def bury(self, delivery: Delivery, error: InvalidEventError) -> None:
        """Let bytes that are not an event become a letter."""
        self._errands.start(self._waker.bury(delivery, error))

    def note_settled(self) -> None:
        """Say that a message is not in hand any more, so that its partition may be asked again."""
        if self._topic.order != "none":
            self._changed.set()

    # --- asking -------------------------------------------------------------

    async def _follow(self) -> bool:
        """Follow changes of the topic; return whether its events are handed out."""
        try:
            async with self._asking:
                await self._look()
                if self._topic.at_rest:
                    await self._shut()
        except (*DRIVER_ERRORS, TransportError) as error:
            await self._bear(error)
            return False
        return not self._topic.at_rest

    async def _ask(self, limit: int, in_hand: Callable[[], Iterable[Delivery]]) -> None:
        """Let pulls wait for up to `limit` events."""
        try:
            async with self._asking:
                if self._stopped or self._arrived or self._topic.at_rest:
                    return
                if self._intake is None:
                    self._intake = await self._opened_intake()
                await self._pull(self._intake, limit, in_hand)
        except (*DRIVER_ERRORS, TransportError) as error:
            await self._bear(error)

    async def _look(self) -> None:
        """Follow changes of the topic, of which the registry rings a bell that may be missed."""
        refused = self._intake is not None and self._intake.refused
        now = self._clock.monotonic()
        if refused or now - self._looked_at >= LOOK_EVERY.total_seconds():
            found = await self._registry.look(self._topic.name)
            self._looked_at = now
        else:
            found = await self._registry.find(self._topic.name)
        if found is not None and found != self._topic:
            if found.generation != self._topic.generation:
                await self._shut()
                self._patience = await self._layout.ensure(found)
                self._turns = self._new_turns(found)
            self._topic = found  # last, as a caller that is cancelled before comes here again
        if refused and self._intake is not None and self._topic.move is None:
            self._intake.refused = None
            self._patience = await self._layout.ensure(self._topic)
            raise TransportError(
                f"NATS refused to hand out events of {self._topic.name!r}: {refused}",
                retryable=True,
                outcome="failed",
            )

    def _new_turns(self, topic: Topic) -> Turns:
        return Turns(topic, clock=self._clock, filled=lambda: self._layout.filled(topic))

    async def _opened_intake(self) -> Intake:
        topic = self._topic
        intake = Intake(
            self._client,
            stream=self._layout.stream_of(topic),
            clock=self._clock,
            on_message=lambda message, consumer: self._arrive(message, consumer, intake),
            on_end=self._pull_ended,
            filled=lambda: self._layout.filled(topic),
        )
        await intake.open()
        return intake

    async def _pull(
        self, intake: Intake, limit: int, in_hand: Callable[[], Iterable[Delivery]]
    ) -> None:
        longest = self._patience / 3  # a stop must not cost what is in hand
        for consumer, batch, wait in await self._turns.next(
            intake, limit=limit, in_hand=(each.consumer for each in in_hand())
        ):
            await intake.ask(consumer, batch=batch, wait=min(wait, longest))
        if self._topic.order == "none" and not intake.asked(DELAYED):
            await intake.ask(DELAYED, batch=_DELAYED_AT_A_TIME, wait=min(self._turns.poll, longest))

    async def _bear(self, error: Exception) -> None:
        """Wait before the next try, or raise what has gone wrong several times in a row."""
        self._failures += 1
        if self._client.is_closed:
            raise TransportClosedError("the inbox") from error
        if self._failures > _RETRIES:
            self._failures = 0
            if isinstance(error, TransportError):
                raise error
            raise transport_error(error, doing="hand out events") from error
        await self._clock.sleep(_BACKOFF.delay(self._failures - 1))

    async def _wait(self) -> None:
        """Wait until something has changed, or it is time to look."""
        try:
            async with self._clock.timeout(self._turns.patience):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _leave_off(self) -> None:
        """Let nothing be here that nobody wants: it would count as delivered if the worker died."""
        if self._topic.order == "none":  # what is given back would come here again, too
            await self._shut()
            await shielded(self._closing.done())
        else:
            await shielded(self._give_back_arrived())

    async def _shut(self) -> None:
        """Give up all pulls, and give back what they bring all the same."""
        intake, self._intake = self._intake, None
        if intake is not None:
            await shielded(self._empty(intake))

    def _shut_beside(self) -> None:
        """Do the same without waiting for it, as more may be wanted at any time."""
        intake, self._intake = self._intake, None
        if intake is not None:
            self._closing.start(self._empty(intake))

    async def _empty(self, intake: Intake) -> None:
        arrived, self._arrived = list(self._arrived), deque()
        for delivery in arrived:
            self._pass_on(delivery, intake)
        await intake.close()
        late, self._late = self._late, []
        await self.give_back(late)

    def _pass_on(self, delivery: Delivery, intake: Intake) -> None:
        """Let others have what a pull has brought that was given up.

        Without order the same pull may bring it again and again. So that this happens once, no more,
        it is then kept until the pull has ended.
        """
        again = delivery.handed_out > 1 and self._topic.order == "none"
        if again and intake.asked(delivery.consumer):
            self._late.append(delivery)
        else:
            self._closing.start(self.give_back([delivery]))

    async def _give_back_arrived(self) -> None:
        arrived, self._arrived = list(self._arrived), deque()
        await self.give_back(arrived)

    # --- what arrives -------------------------------------------------------

    def _pull_ended(self) -> None:
        if self._intake is not None and self._intake.refused is None:
            self._failures = 0
        self._changed.set()

    def _arrive(self, message: Msg, consumer: str, intake: Intake) -> None:
        self._failures = 0
        delivery = Delivery(
            client=self._client,
            message=message,
            consumer=consumer,
            touched=intake.sent_after,
        )
        if consumer == DELAYED:
            self._errands.start(self._waker.wake(delivery))
            return
        if self._intake is not intake:
            self._pass_on(delivery, intake)
            return
        pause = self._turns.passed_over(delivery)
        if pause > timedelta(0):
            self._errands.start(self._leave(delivery, pause=pause))
            return
        self._turns.saw(delivery)
        self._arrived.append(delivery)
        self._changed.set()
        self._note_unclaimed()

    async def _leave(self, delivery: Delivery, *, pause: timedelta) -> None:
        if self.is_missed(delivery):
            return
        await self._returns.note([delivery])
        await delivery.give_back(delay=pause)

    def _taken(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        while self._arrived and len(taken) < limit:
            delivery = self._arrived.popleft()
            if not self.is_missed(delivery):
                taken.append(delivery)
        return taken

    def _note_unclaimed(self) -> None:
        if self._arrived and self._receiving == 0:
            self._unclaimed.set()

    async def _return_unclaimed(self) -> None:
        """Give back what has arrived soon after nobody asks for more: others may have room."""
        while True:
            await self._unclaimed.wait()
            self._unclaimed.clear()
            await self._clock.sleep(_KEPT_UNCLAIMED)
            left_for = self._clock.monotonic() - self._left_at
            if left_for < _KEPT_UNCLAIMED.total_seconds():
                self._note_unclaimed()
                continue
            try:
                async with self._asking:
                    await self._return_arrived()
            except (*DRIVER_ERRORS, TransportError):
                _logger.debug("could not give back what has arrived", exc_info=True)

    async def _return_arrived(self) -> None:
        if self._arrived and self._receiving == 0:
            if self._topic.order == "none":  # its own pull would bring it again
                self._shut_beside()
            else:
                await self._give_back_arrived()

    async def _tend(self) -> None:
        """Keep what has arrived while others are handed out; give it back when nobody asks for it.

        Ask the server for a word besides, so that what it sends from now on counts as fresh.
        """
        while True:
            await self._clock.sleep(self._patience / 6)
            try:
                if self._intake is not None:
                    await self._intake.pulse()
                await self._tend_once()
            except (*DRIVER_ERRORS, TransportError):
                _logger.debug("could not extend what has arrived", exc_info=True)

    async def _tend_once(self) -> None:
        now = self._clock.monotonic()
        left = self._receiving == 0
        if left and now - self._left_at >= self._patience.total_seconds() / 6:
            async with self._asking:
                if self._receiving == 0:
                    self._shut_beside()
            return
        await self._refresh(list(self._arrived))

    async def _refresh(self, deliveries: Iterable[Delivery]) -> None:
        """Keep what the server has heard nothing of for a while; others may have what it misses."""
        for delivery in deliveries:
            age = self._clock.monotonic() - delivery.touched
            if age >= self._patience.total_seconds() / 3 and not self.is_missed(delivery):
                await self.keep(delivery)
