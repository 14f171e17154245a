"""Where events go: to a topic, to who waits for an answer, outside, or to the dead letters."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler import (
    BrokerErrorListener,
    Clock,
    DomainedEventListener,
    UndeliveredError,
    UnroutableError,
)

from ._backlog import Backlog
from ._broker_telemetry import count_dead_letter
from ._causal_tree import CausalTree
from ._dead_letter import DeadLetter, DeadLetterListener, DeadLetterReason
from ._delivery import Delivery, Errand
from ._in_context import InContext
from ._topic import Topic
from ._user_failure import user_failure

_logger = logging.getLogger("arvo_concurrent")

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
        backlog: What counts the events.
        clock: For the topic of errands.
    """

    def __init__(self, owner: Listeners, *, backlog: Backlog, clock: Clock) -> None:
        self._owner = owner
        self._closed = False
        self.topics: dict[str, Topic] = {}
        """The handlers' topics by name."""
        self.listeners = Topic(
            "listeners",
            run=self._run_errand,
            prefetch=_LISTENERS_AT_ONCE,
            by_subject=False,
            backlog=backlog,
            clock=clock,
        )
        """The errands to the listeners, which wait and run like events."""

    def take(self, event: ArvoEvent, tree: CausalTree, context: Context) -> None:
        """Send an event on its way that comes from outside."""
        if self._closed:
            self._bury(event, tree, context, attempts=0, handler=None)
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
        context = cause.context.copy()
        if event.domain is None or self._closed:
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
        tree, context = delivery.tree, delivery.context.copy()
        tree.failed(letter.event, letter.error)
        self._keep(letter, tree, context)
        if letter.reason is not DeadLetterReason.CLOSED:
            self.broker_error(letter.event, letter.error, delivery)

    def broker_error(self, event: ArvoEvent, error: Exception, delivery: Delivery) -> None:
        """Report what failed for good, or beside the handling."""
        if self._owner.broker_error is None:
            _logger.error("event %s of type %s failed", event.id, event.type, exc_info=error)
            return
        call = partial(self._owner.broker_error, event, error)
        context = delivery.context.copy()
        self._send(event, delivery.tree, context, call, name="on_broker_error")

    def refuse(self, topics: Iterable[Topic]) -> None:
        """Bury what waits, and from now on everything."""
        self._closed = True
        for topic in topics:
            self._bury_waiting(topic)

    async def interrupt(self, topic: Topic) -> None:
        """Cancel what still runs, and bury it."""
        for delivery in await topic.stop():
            self._bury_delivery(delivery, topic)
            topic.settle(delivery)
        self._bury_waiting(topic)

    def _bury_waiting(self, topic: Topic) -> None:
        for delivery in topic.abandon():
            self._bury_delivery(delivery, topic)

    def _bury_delivery(self, delivery: Delivery, topic: Topic) -> None:
        self._bury(
            delivery.event,
            delivery.tree,
            delivery.context.copy(),
            attempts=delivery.failed,
            handler=topic.name,
        )

    def _bury(
        self,
        event: ArvoEvent,
        tree: CausalTree,
        context: Context,
        *,
        attempts: int,
        handler: str | None,
    ) -> None:
        letter = DeadLetter(
            event=event,
            error=UndeliveredError(event),
            attempts=attempts,
            handler=handler,
            reason=DeadLetterReason.CLOSED,
        )
        self.give_up(letter, Delivery(event, tree, context))

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
            _logger.error(
                "event %s of type %s for %s is dead (%s): %s",
                letter.event.id,
                letter.event.type,
                letter.event.to,
                letter.reason,
                letter.error,
            )
            return
        call = partial(self._owner.dead_letter, letter)
        self._send(letter.event, tree, context, call, name="on_dead_letter")

    async def _come_back(self, event: ArvoEvent, *, tree: CausalTree, context: Context) -> None:
        """Take what the outside answers; after the asking tree has ended it starts a new one."""
        if tree.ended:
            tree = CausalTree(event, answer_to=tree.answer_to)
        tree.begin()
        self.take(event, tree, context.copy())
        tree.end()

    def _send(
        self,
        event: ArvoEvent,
        tree: CausalTree,
        context: Context,
        call: Callable[[], Awaitable[None]],
        *,
        name: str,
    ) -> None:
        self.listeners.put(Errand(event, tree, context, call=call, name=name))

    async def _run_errand(self, delivery: Delivery) -> timedelta | None:
        if not isinstance(delivery, Errand):
            raise TypeError("only errands go to listeners")
        try:
            await InContext(delivery.context, delivery.call())
        except BaseException as raised:
            error = user_failure(raised, what=delivery.name)
            if delivery.name == "on_domained_event":
                delivery.tree.failed(delivery.event, error)
            if delivery.name == "on_broker_error":
                _logger.error("on_broker_error itself failed", exc_info=error)
            else:
                self.broker_error(delivery.event, error, delivery)
        return None
