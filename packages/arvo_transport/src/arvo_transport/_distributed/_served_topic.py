"""A topic that a worker serves: from its inbox through its lanes to a settlement."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from typing_extensions import override

from arvo_event_handler import UndeliveredError
from arvo_event_handler.delivery import (
    DeadLetterReason,
    HandlerDefaults,
    Listeners,
    Topic,
    TopicStats,
    TryAgain,
    Verdict,
    count_retry,
)
from arvo_time import Clock
from arvo_transport._errors import DeliveryLostError, TransportClosedError, TransportError
from arvo_transport._settlement import Received
from arvo_transport._topic import TopicSpec
from arvo_transport._transport import IEventInbox

from ._errors import ExpiredError, RedeliveredTooOftenError
from ._expiry import expired
from ._extension import Extension
from ._health import Health
from ._held_delivery import HeldDelivery
from ._intake import Intake
from ._newer_events import NewerEvents
from ._quarantine import Emptiable, Quarantine
from ._runner import IRunner
from ._settling import Settling
from ._telemetry import LOST, RECEIVED, REDELIVERED, TOO_NEW, WAIT, count
from ._waiting_time import waited

_SLEEPERS_PER_WORKER: Final = 4
_REFUSED_PAUSE: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a worker stops to trust an event, or to keep it."""

    suspect_after: int
    """After how many deliveries an event is tried alone."""
    max_deliveries: int
    """After how many it is dead."""
    hold_at_most: timedelta
    """The longest pause for which an event of an unordered topic is kept in hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the topics of one worker share."""

    listeners: Listeners
    quarantine: Quarantine
    health: Health
    newer: NewerEvents
    ping: Callable[[], Awaitable[None]]
    """Asks the engine for a sign of life."""
    identity: object
    """What identifies the worker in `Seats`."""
    clock: Clock
    logger: logging.Logger


class ServedTopic(Emptiable):
    """The events of one topic that a worker has in hand, and what becomes of them.

    Args:
        spec: The topic.
        runner: Makes a try and decides what follows.
        settings: How the handler is run.
        settling: Stores what was decided.
        limits: When it stops to trust an event, or to keep it.
        shared: What the topics of the worker share.
    """

    def __init__(
        self,
        spec: TopicSpec,
        *,
        runner: IRunner,
        settings: HandlerDefaults,
        settling: Settling,
        limits: Limits,
        shared: Surroundings,
    ) -> None:
        self.spec: TopicSpec = spec
        """The topic."""
        self.draining: bool = False
        """Whether events are given back instead of being tried again here."""
        self.closing: bool = False
        """Whether events whose worker ends are given back at the end."""
        self._runner = runner
        self._settling = settling
        self._limits = limits
        self._shared = shared
        self._clock = shared.clock
        self._inbox: IEventInbox | None = None
        self._held: dict[Received, HeldDelivery] = {}
        self._stray: list[HeldDelivery] = []
        self._chores: set[asyncio.Task[None]] = set()
        self.topic: Topic[HeldDelivery, timedelta | None] = Topic(
            spec.name,
            run=self._handle,
            carry_out=_as_it_is,
            undelivered=self._undelivered,
            prefetch=settings.prefetch,
            order=spec.order,
            rate=settings.rate,
            broker=shared.identity,
            clock=shared.clock,
            logger=shared.logger,
        )
        """Its lanes and workers."""
        self.intake: Intake = Intake(
            spec.name,
            receive=self._receive,
            ping=shared.ping,
            room=self._room,
            put=self._put,
            health=shared.health,
        )
        """Receives its events."""
        self.extension: Extension = Extension(
            spec.name, held=self._held, health=shared.health, clock=shared.clock
        )
        """Keeps them in hand."""

    @property
    def stats(self) -> TopicStats:
        """What there is to do at this moment."""
        topic = self.topic
        return TopicStats(
            prefetch=topic.prefetch,
            queued=topic.queued,
            running=topic.running,
            sleeping=topic.sleeping,
        )

    @property
    def unfinished(self) -> int:
        """How many events are in hand."""
        return len(self._held)

    def opened(self, inbox: IEventInbox) -> None:
        """Receive from an inbox, and settle there."""
        self._inbox = inbox

    async def stop(self) -> None:
        """Receive nothing more."""
        self.intake.close()
        if self._inbox is None:
            return
        try:
            await self._inbox.stop()
        except TransportError as error:
            self._log("cannot stop receiving from %s: %s", error)

    def abandon(self) -> None:
        """Begin nothing more; what waits and what sleeps is given back at the end."""
        self.closing = True
        self._stray.extend(self.topic.abandon())

    # --- coming in ----------------------------------------------------------

    async def _receive(self, limit: int) -> Sequence[Received]:
        return await self._open_inbox.receive(limit)

    def _room(self) -> int:
        topic = self.topic
        behind = topic.behind_sleepers
        if topic.sleeping + behind >= _SLEEPERS_PER_WORKER * topic.prefetch:
            return 0
        waiting = max(1, topic.prefetch // 2)
        return topic.prefetch + waiting - (topic.queued - behind) - topic.running

    def _put(self, received: Received) -> None:
        count(RECEIVED, self.spec.name)
        if received.deliveries > 1:
            count(REDELIVERED, self.spec.name)
        held = HeldDelivery(received, on_move=self.intake.wake)
        self._held[received] = held
        if self.closing:
            self._stray.append(held)
        else:
            self.topic.put(held)

    # --- one event ----------------------------------------------------------

    async def _handle(self, held: HeldDelivery) -> timedelta | None:
        """Try an event and settle it; return the pause before the next try, or None."""
        if held.lost:
            await self._lose(held)
            return None
        quarantine, limits = self._shared.quarantine, self._limits
        with quarantine.running(held):
            if quarantine.excludes(held):
                await self.give_back(held)
                return None
            if held.acquitted or held.received.deliveries <= limits.suspect_after:
                return await self._try(held)
            if held.received.deliveries > limits.max_deliveries:
                return await self._carry_out(self._too_often(held), held)
            async with quarantine.alone(held) as alone:
                if not alone:
                    await self.give_back(held)
                    return None
                try:
                    return await self._try(held)
                finally:
                    held.acquitted = True

    async def _try(self, held: HeldDelivery) -> timedelta | None:
        verdict: Verdict
        if (when := expired(held.event, now=self._clock.now())) is not None:
            verdict = self._runner.give_up(
                held, error=ExpiredError(held.event, expired=when), reason=DeadLetterReason.EXPIRED
            )
        else:
            if not held.begun:
                self._measure_wait(held)
            held.begun = True
            verdict = await self._runner.run(held)
        if held.given_up:
            return None
        return await self._carry_out(verdict, held)

    def _measure_wait(self, held: HeldDelivery) -> None:
        seconds = waited(held.received, now=self._clock.now())
        if seconds is not None:
            WAIT.record(seconds, {"arvo.topic": self.spec.name})

    def _too_often(self, held: HeldDelivery) -> Verdict:
        error = RedeliveredTooOftenError(held.event, deliveries=held.received.deliveries)
        reason = DeadLetterReason.REDELIVERED_TOO_OFTEN
        return self._runner.give_up(held, error=error, reason=reason)

    async def _carry_out(self, verdict: Verdict, held: HeldDelivery) -> timedelta | None:
        """Do what was decided, which a refusal of the engine may change."""
        try:
            while True:
                if isinstance(verdict, TryAgain):
                    return await self._try_later(verdict, held)
                refused = await self._settling.settle(verdict, held, inbox=self._open_inbox)
                if refused is None:
                    self._forget(held)
                    return None
                verdict = refused
        except DeliveryLostError:
            await self._lose(held)
        except TransportClosedError:
            self._forget(held)
        except TransportError as error:
            # It will not go better at once, and is not the event's fault.
            self._shared.listeners.report(held, event=held.event, error=error)
            await self.give_back(held, pause=_REFUSED_PAUSE)
        return None

    async def _try_later(self, verdict: TryAgain, held: HeldDelivery) -> timedelta | None:
        for error in verdict.errors:
            self._shared.listeners.report(held, event=held.event, error=error)
        if held.lost:
            await self._lose(held)
            return None
        if verdict.elsewhere:
            return await self._leave_to_others(verdict, held)
        if verdict.counts:
            count_retry(self.spec.name)
        held.due = self._clock.monotonic() + verdict.after.total_seconds()
        leaving = self.draining or self._shared.quarantine.excludes(held)
        if leaving or (verdict.after > self._limits.hold_at_most and not self.spec.ordered):
            await self.give_back(held)
            return None
        return verdict.after

    async def _leave_to_others(self, verdict: TryAgain, held: HeldDelivery) -> timedelta | None:
        pause = self._shared.newer.pause(held.event)
        if pause is None:
            dead = self._runner.give_up(
                held, error=verdict.error, reason=DeadLetterReason.UNKNOWN_VERSION
            )
            return await self._carry_out(dead, held)
        count(TOO_NEW, self.spec.name)
        held.begun = False
        await self.give_back(held, pause=pause)
        return None

    # --- giving back --------------------------------------------------------

    @override
    def paused(self) -> AbstractAsyncContextManager[None]:
        return self.intake.paused()

    @override
    async def leave_off(self) -> None:
        try:
            await self._open_inbox.pause()
        except TransportError as error:
            self._log("cannot pause %s, so that other events may be blamed: %s", error)

    @override
    async def give_back_waiting(self) -> None:
        """Give back what waits and what sleeps."""
        await self._give_back_all(self.topic.withdraw())

    async def give_back_sleeping(self) -> None:
        """Give back what sleeps, and what waits behind it."""
        await self._give_back_all(self.topic.withdraw_sleeping())

    async def give_back_strays(self) -> None:
        """Give back what was not handled at the end, and finish what goes on beside the workers."""
        stray, self._stray = self._stray, []
        await self._release(stray)
        while self._chores:
            await asyncio.wait([*self._chores])

    async def give_back(self, held: HeldDelivery, *, pause: timedelta = timedelta(0)) -> None:
        """Give back an event that runs, and what waits behind it."""
        if self.spec.ordered:
            async with self.intake.paused():
                await self._release([held, *self.topic.withdraw_behind(held)], pause=pause)
        else:
            await self._give_back_all([held], pause=pause)

    async def _give_back_all(
        self, withdrawn: Sequence[HeldDelivery], *, pause: timedelta = timedelta(0)
    ) -> None:
        now = self._clock.monotonic()
        released: list[HeldDelivery] = []
        for held in withdrawn:
            if held.due > now and not pause and not self.spec.ordered:
                await self._postpone(held, delay=timedelta(seconds=held.due - now))
            else:
                released.append(held)
        await self._release(released, pause=pause)

    async def _postpone(self, held: HeldDelivery, *, delay: timedelta) -> None:
        try:
            await self._settling.postpone(held, delay=delay, inbox=self._open_inbox)
        except DeliveryLostError:
            count(LOST, self.spec.name)
        except TransportError as error:
            self._log("could not postpone an event of %s, which comes again by itself: %s", error)
        finally:
            self._forget(held)

    async def _release(
        self, helds: Sequence[HeldDelivery], *, pause: timedelta = timedelta(0)
    ) -> None:
        """Release events; those that the engine does not hear of, it misses after its patience."""
        for held in helds:
            self._forget(held)
        try:
            # An event that was begun is the first of its key, so it goes first.
            for begun in (True, False):
                part = [held.received for held in helds if held.begun is begun]
                if part:
                    await self._open_inbox.release(part, pause=pause, begun=begun)
        except TransportError as error:
            self._log("could not give back events of %s, which come again by themselves: %s", error)

    async def _lose(self, held: HeldDelivery) -> None:
        """Drop an event that another worker has; what waits behind it is for that one, too."""
        count(LOST, self.spec.name)
        if self.spec.ordered:
            async with self.intake.paused():
                await self._release([held, *self.topic.withdraw_behind(held)])
        else:
            await self._release([held])

    # --- inside -------------------------------------------------------------

    @property
    def _open_inbox(self) -> IEventInbox:
        if self._inbox is None:
            raise TransportClosedError("the inbox")
        return self._inbox

    def _log(self, message: str, error: TransportError) -> None:
        if isinstance(error, TransportClosedError):
            return  # run() raises it
        self._shared.logger.warning(message, self.spec.name, error)

    def _forget(self, held: HeldDelivery) -> None:
        self._held.pop(held.received, None)

    def _undelivered(self, held: HeldDelivery, cause: Exception | None) -> None:
        if self.closing:
            self._stray.append(held)
            return
        # The lane opens when this returns, and the event is not settled yet.
        behind = self.topic.withdraw_behind(held) if self.spec.ordered else []
        if cause is not None:
            self._shared.listeners.report(held, event=held.event, error=cause)
            self._beside(self._release([held, *behind], pause=_REFUSED_PAUSE))
        else:
            # Its handler has cancelled the task that it runs in, and would do so again.
            error = UndeliveredError(held.event)
            reason = DeadLetterReason.CANCELLED
            verdict = self._runner.give_up(held, error=error, reason=reason)
            self._beside(self._bury(verdict, held, behind))

    async def _bury(
        self, verdict: Verdict, held: HeldDelivery, behind: Sequence[HeldDelivery]
    ) -> None:
        await self._carry_out(verdict, held)
        await self._release(behind)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        chore = asyncio.get_running_loop().create_task(work, context=Context())
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)


def _as_it_is(pause: timedelta | None, _: HeldDelivery) -> timedelta | None:
    return pause
