"""Where events go: to a topic, to who waits for an answer, outside, or to the dead letters."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler import (
    BrokerErrorListener,
    DomainedEventListener,
    UndeliveredError,
    UnroutableError,
    guarded_call,
    log_dead_letter,
)
from arvo_time import Clock
from arvo_time.logs import bounded_logger

from ._backlog import Backlog
from ._broker_telemetry import count_dead_letter
from ._causal_tree import CausalTree
from ._dead_letter import DeadLetter, DeadLetterListener, DeadLetterReason
from ._delivery import Delivery, Errand
from ._errors import endless_wait
from ._handling import handled_by, holds
from ._topic import Topic

_logger = bounded_logger("arvo_concurrent")

UnclaimedListener: TypeAlias = Callable[[ArvoEvent], Awaitable[None]]
"""Receives answers that nobody waits for (any more)."""

_LISTENERS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """The functions of the broker's owner; None where there is none."""

    broker_error: BrokerErrorListener | None
    """Is told what failed for good."""
    domained_event: DomainedEventListener | None
    """Takes events outside."""
    dead_letter: DeadLetterListener | None
    """Keeps what was not handled."""
    unclaimed: UnclaimedListener | None
    """Takes answers nobody waits for."""


class Router:
    """Sends events on their way, and runs the errands to the owner's listeners.

    Args:
        owner: The listeners.
        take_in_turn: Takes an event from outside when there is a place for it.
        backlog: What counts the events.
        clock: For the topic of errands, and for what is waited for at the end.
    """

    def __init__(
        self,
        owner: Listeners,
        *,
        take_in_turn: Callable[[ArvoEvent, CausalTree], Awaitable[None]],
        backlog: Backlog,
        clock: Clock,
    ) -> None:
        self._owner = owner
        self._clock = clock
        self._backlog = backlog
        self._take_in_turn = take_in_turn
        self._leaving: set[Topic] = set()
        self.closed = False
        """Whether everything is buried from now on."""
        self.topics: dict[str, Topic] = {}
        """The handlers' topics by name."""
        self._listeners = Topic(
            "listeners",
            run=self._run_errand,
            undelivered=self._untold,
            prefetch=_LISTENERS_AT_ONCE,
            by_subject=False,
            backlog=backlog,
            clock=clock,
            of_listeners=True,
        )
        """The errands to the listeners, which wait and run like events."""

    async def remove(self, topic: Topic) -> None:
        """Route nothing more to a topic, and end it when it is empty.

        Raises:
            ConfigViolation: A handler of the broker awaits this, or a listener that a handler of
                the topic waits for.
        """
        if handled_by(self._backlog) or holds(topic.seats):
            raise endless_wait("unsubscribe")
        if self.topics.get(topic.name) is topic:
            del self.topics[topic.name]
            self._leaving.add(topic)
        await topic.empty()
        topic.stop()
        await topic.ended()
        self._leaving.discard(topic)

    def take(self, event: ArvoEvent, tree: CausalTree, context: Context) -> None:
        """Send an event on its way that comes from outside."""
        if self.closed:
            self._bury(Delivery(event, tree, context), handler=None)
            return
        topic = self.topics.get(event.to or event.type)
        if topic is not None:
            topic.put(Delivery(event, tree, context))
        elif event is not tree.root and event.to == tree.answer_to:
            if not tree.answer(event):
                self.unclaimed(event, tree, context)
        else:
            self._unroutable(event, tree, context)

    def emit(self, event: ArvoEvent, cause: Delivery) -> None:
        """Send an event on its way that a handler emitted."""
        if cause.given_up:
            return
        context = cause.context.copy()
        if event.domain is None or self.closed:
            self.take(event, cause.tree, context)
        elif self._owner.domained_event is None:
            self._unroutable(event, cause.tree, context)
        else:
            back = partial(self._come_back, tree=cause.tree, context=context)
            call = partial(self._owner.domained_event, event, back)
            self._send(event, cause.tree, context, call, name="on_domained_event")

    def unclaimed(self, event: ArvoEvent, tree: CausalTree, context: Context) -> None:
        """Hand over an answer that nobody waits for."""
        if self._owner.unclaimed is not None:
            call = partial(self._owner.unclaimed, event)
            self._send(event, tree, context, call, name="on_unclaimed")
            return
        letter = DeadLetter(
            event=event,
            error=UnroutableError(event),
            attempts=0,
            handler=None,
            reason=DeadLetterReason.UNCLAIMED,
        )
        self._keep(letter, tree, context)

    def give_up(self, letter: DeadLetter, delivery: Delivery) -> None:
        """Report that an event will not be handled."""
        if delivery.given_up:
            return
        delivery.tree.failed(letter.event, letter.error)
        self._keep(letter, delivery.tree, delivery.context.copy())
        if letter.reason is DeadLetterReason.CLOSED:
            return
        if self._owner.broker_error is not None:
            self.broker_error(letter.event, letter.error, delivery)
        elif self._owner.dead_letter is not None:
            _log(letter, delivery.context.copy())

    def broker_error(self, event: ArvoEvent, error: Exception, delivery: Delivery) -> None:
        """Report what failed for good, or beside the handling."""
        if delivery.given_up:
            return
        context = delivery.context.copy()
        if self._owner.broker_error is None:
            text = "event %s of type %s failed"
            context.run(_logger.error, text, event.id, event.type, exc_info=error)
            return
        call = partial(self._owner.broker_error, event, error)
        self._send(event, delivery.tree, context, call, name="on_broker_error")

    def refuse(self) -> None:
        """Bury what waits, and from now on everything."""
        self.closed = True
        for topic in self._all_topics():
            for delivery in topic.abandon():
                self._bury(delivery, handler=topic.name)

    async def rest(self) -> None:
        """Wait until no handler runs."""
        await asyncio.gather(*(topic.rest() for topic in self._all_topics()))

    async def stop(self, *, patience: timedelta) -> None:
        """Cancel what still runs, and wait for it; give up what does not end within `patience`."""
        await self._end(self._all_topics(), patience)

    async def stop_listeners(self, *, patience: timedelta) -> None:
        """Cancel what still is told, wait for it as `stop`, and log what was not told."""
        for errand in self._listeners.abandon():
            self._untold(errand)
        await self._end([self._listeners], patience)

    async def _end(self, topics: list[Topic], patience: timedelta) -> None:
        for topic in topics:
            topic.stop()
        try:
            async with self._clock.timeout(patience):
                for topic in topics:
                    await topic.ended()
        except TimeoutError:
            pass
        finally:
            for topic in topics:
                topic.give_up_running()

    def _all_topics(self) -> list[Topic]:
        return [*self.topics.values(), *self._leaving]

    def _bury(self, delivery: Delivery, *, handler: str | None) -> None:
        letter = DeadLetter(
            event=delivery.event,
            error=UndeliveredError(delivery.event),
            attempts=delivery.failed,
            handler=handler,
            reason=DeadLetterReason.CLOSED,
        )
        self.give_up(letter, delivery)

    def _unroutable(self, event: ArvoEvent, tree: CausalTree, context: Context) -> None:
        letter = DeadLetter(
            event=event,
            error=UnroutableError(event),
            attempts=0,
            handler=None,
            reason=DeadLetterReason.UNROUTABLE,
        )
        self.give_up(letter, Delivery(event, tree, context))

    def _keep(self, letter: DeadLetter, tree: CausalTree, context: Context) -> None:
        count_dead_letter(letter.handler, letter.reason)
        if self._owner.dead_letter is None:
            _log(letter, context)
            return
        call = partial(self._owner.dead_letter, letter)
        self._send(letter.event, tree, context, call, name="on_dead_letter")

    async def _come_back(self, event: ArvoEvent, *, tree: CausalTree, context: Context) -> None:
        """Take what the outside answers: at once while its tree waits, else like anything new."""
        if tree.ended:
            await self._take_in_turn(event, tree)
        else:
            self.take(event, tree, context.copy())

    def _send(
        self,
        event: ArvoEvent,
        tree: CausalTree,
        context: Context,
        call: Callable[[], Awaitable[None]],
        *,
        name: str,
    ) -> None:
        errand = Errand(event, tree, context, call=call, name=name)
        if self._listeners.stopped:
            self._untold(errand)
        else:
            self._listeners.put(errand)

    async def _run_errand(self, delivery: Delivery) -> timedelta | None:
        errand = _errand(delivery)
        try:
            await guarded_call(errand.context, errand.call)
        except Exception as error:
            if errand.name == "on_domained_event":
                delivery.tree.failed(delivery.event, error)
            if errand.name == "on_broker_error":
                text = "on_broker_error itself failed"
                delivery.context.run(_logger.error, text, exc_info=error)
            else:
                self.broker_error(delivery.event, error, delivery)
        return None

    def _untold(self, delivery: Delivery, _: Exception | None = None) -> None:
        """Log what a listener has not been told, or not wholly: nobody else is left to tell."""
        event, name = delivery.event, _errand(delivery).name
        delivery.tree.failed(event, UndeliveredError(event))
        text = "event %s of type %s did not reach %s, which was cancelled"
        delivery.context.copy().run(_logger.error, text, event.id, event.type, name)


def _log(letter: DeadLetter, context: Context) -> None:
    context.run(
        log_dead_letter,
        letter.event,
        error=letter.error,
        handler=letter.handler,
        reason=letter.reason,
        attempts=letter.attempts,
        logger=_logger,
    )


def _errand(delivery: Delivery) -> Errand:
    if not isinstance(delivery, Errand):
        raise TypeError("only errands go to listeners")
    return delivery
