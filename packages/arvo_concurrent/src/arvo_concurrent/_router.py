"""Where events go: to a topic, to a waiting caller, outside, or to the dead letters."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from functools import partial

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import (
    IArvoEventHandler,
    IWorkflowHandler,
    UndeliveredError,
    UnroutableError,
)
from arvo_event_handler.delivery import (
    BrokerClosedError,
    BrokerStats,
    DeadLetter,
    DeadLetterReason,
    Endable,
    GiveUp,
    Handled,
    HandlerDefaults,
    HandlerRunner,
    HandlerTable,
    Listeners,
    OwnerFunctions,
    TimerPump,
    Topic,
    TopicStats,
    Verdict,
    count_retry,
    endless_wait,
    handled_by,
    holds,
    stop_topics,
)
from arvo_time import Clock
from arvo_time.logs import bounded_logger

from ._admission import Admission
from ._causal_tree import CausalTree
from ._delivery import Delivery, Identity
from ._joined_trees import AnyTree
from ._ticks_in_hand import TicksInHand
from ._work_in_hand import WorkflowKey, WorkInHand

_logger = bounded_logger("arvo_concurrent")


class Router(Endable):
    """Sends events on their way, and carries out what the runners decide.

    Args:
        owner: The functions of the broker's owner.
        take_in_turn: Takes an event from outside when there is a place for it.
        admission: What counts the events, and identifies the broker.
        pump: Fires the timers of the handlers' workflows.
        ticks: Counts its ticks.
        clock: For delays, and for what is waited for at the end.
    """

    def __init__(
        self,
        owner: OwnerFunctions,
        *,
        take_in_turn: Callable[[ArvoEvent, AnyTree], Awaitable[None]],
        admission: Admission,
        pump: TimerPump,
        ticks: TicksInHand,
        clock: Clock,
    ) -> None:
        self._owner = owner
        self._pump = pump
        self._clock = clock
        self._admission = admission
        self._take_in_turn = take_in_turn
        self._leaving: set[Topic[Delivery, Verdict]] = set()
        self._closed = False  # whether everything is given up from now on
        # What waits, sleeps or runs; further events with the same identity join it.
        self._under_way: dict[Identity, Delivery] = {}
        self._ticks = ticks
        self._stateful: dict[str, IArvoEventHandler] = {}
        self._work = WorkInHand()
        self.topics: HandlerTable[Topic[Delivery, Verdict]] = HandlerTable()
        """The handlers' topics by name."""
        self._listeners = Listeners(owner, broker=admission, clock=clock, logger=_logger)

    @property
    @override
    def stats(self) -> BrokerStats:
        return BrokerStats(
            queued=self._admission.waiting,
            unfinished=self._admission.open,
            topics={
                name: TopicStats(
                    prefetch=topic.prefetch,
                    queued=topic.queued,
                    running=topic.running,
                    sleeping=topic.sleeping,
                )
                for name, topic in self.topics.items()
            },
        )

    def add(
        self,
        name: str,
        *,
        runner: HandlerRunner,
        settings: HandlerDefaults,
        handler: IArvoEventHandler,
    ) -> Topic[Delivery, Verdict]:
        """Route the events of a topic to a handler.

        Args:
            name: The topic.
            runner: Tries its events.
            settings: What applies to the handler.
            handler: The handler.
        """

        def undelivered(delivery: Delivery, cause: Exception | None) -> None:
            reason = DeadLetterReason.CLOSED if self._closed else DeadLetterReason.CANCELLED
            error = cause or UndeliveredError(delivery.event)
            verdict = runner.give_up(delivery, error=error, reason=reason)
            self._carry_out(verdict, delivery)

        topic = Topic[Delivery, Verdict](
            name,
            run=runner.run,
            carry_out=self._carry_out,
            undelivered=undelivered,
            prefetch=settings.prefetch,
            order=settings.order or "none",
            rate=settings.rate,
            broker=self._admission,
            clock=self._clock,
            logger=_logger,
        )
        self.topics[name] = topic
        if handler.stateful:
            self._stateful[name] = handler
            self._pump.watch(handler)
        return topic

    async def remove(self, topic: Topic[Delivery, Verdict]) -> None:
        """Route nothing more to a topic, and end it when it is empty.

        Raises:
            ConfigViolation: A handler of the broker awaits this, or a listener that a handler of
                the topic waits for.
        """
        if handled_by(self._admission) or holds(topic.seats):
            raise endless_wait("unsubscribe")
        if self.topics.get(topic.name) is topic:
            del self.topics[topic.name]
            handler = self._stateful.pop(topic.name, None)
            if handler is not None:
                self._pump.unwatch(handler)
            self._leaving.add(topic)
        await topic.wait_empty()
        topic.stop()
        await topic.ended()
        self._leaving.discard(topic)

    def take_from_outside(self, event: ArvoEvent, tree: AnyTree, context: Context) -> None:
        """Send an event on its way that was published, as `take`.

        A caller that starts a workflow again waits for the work on it that is on its way.
        """
        address = event.to or event.type
        if address in self._stateful and isinstance(tree, CausalTree):
            key = (address, event.subject)
            if event.type == address and tree.waits and tree.asker is None:
                for other in self._work.trees(key):
                    # Another event of that type started nothing, or something else.
                    if other.root == event or other.root.type != address:
                        other.lead(tree)
            self._work.add(key, tree)
        self.take(event, tree, context)

    def take(self, event: ArvoEvent, tree: AnyTree, context: Context) -> None:
        """Send an event on its way, or let its tree wait for the same event that is on its way."""
        address = event.to or event.type
        topic = self.topics.get(address)
        if topic is not None:
            delivery = Delivery(event, tree, context)
            delivery.identity = identity = (address, event.source, event.id)
            first = self._under_way.setdefault(identity, delivery)
            if first is not delivery and first.join(tree):
                return
            if self._closed:
                self._give_up_closed(delivery, handler=None)
            else:
                topic.put(delivery)
        elif self._closed:
            self._give_up_closed(Delivery(event, tree, context), handler=None)
        elif tree.expects(event):
            if not tree.answer(event):
                self.unclaimed(event, tree, context)
        else:
            self._unroutable(Delivery(event, tree, context))

    @property
    def workflow_handlers(self) -> list[IWorkflowHandler]:
        """The handlers whose workflows can be recovered."""
        return [each for each in self._stateful.values() if isinstance(each, IWorkflowHandler)]

    def workflow_handler(self, address: str) -> IWorkflowHandler | None:
        """Return the handler of the workflows of an address; None if there is none."""
        handler = self._stateful.get(address)
        return handler if isinstance(handler, IWorkflowHandler) else None

    def send_again(
        self, outputs: Sequence[ArvoEvent], *, key: WorkflowKey, answer_to: str, context: Context
    ) -> None:
        """Send what a workflow emitted before, or a tick, as part of the work on the topmost one above it.

        Args:
            outputs: The events; at least one.
            key: The topmost workflow.
            answer_to: To whom its completion is addressed.
            context: The context variables they carry along.
        """
        working = (
            tree
            for tree in self._work.trees(key)
            if tree.answer_to == answer_to and tree.asker is None
        )
        # A root of its own: the outputs themselves may be addressed to the caller.
        root = outputs[0].model_copy()
        tree = next(working, None) or CausalTree(
            root, answer_to=answer_to, admission=self._admission
        )
        tree.begin()
        self._work.add(key, tree)
        cause = Delivery(root, tree, context)
        for event in outputs:
            self._emit(event, cause)
        tree.end()

    def count_tick(self, tick: ArvoEvent) -> None:
        """Let a tick count until it is handled, or given up."""
        identity = _identity(tick)
        if identity in self._under_way:
            self._ticks.add(identity)

    def joins(self, event: ArvoEvent, tree: AnyTree) -> bool:
        """Return whether an event from outside joins one on its way, and so needs no place."""
        return tree.asker is None and _identity(event) in self._under_way

    def unclaimed(self, event: ArvoEvent, tree: AnyTree, context: Context) -> None:
        """Hand over an answer that no caller waits for."""
        delivery = Delivery(event, tree, context)
        if self._owner.on_unclaimed is not None:
            function = partial(self._owner.on_unclaimed, event)
            self._listeners.call(delivery, function=function, name="on_unclaimed")
            return
        letter = DeadLetter(
            event=event,
            error=UnroutableError(event),
            attempts=0,
            handler=None,
            reason=DeadLetterReason.UNCLAIMED,
        )
        self._listeners.keep(letter, trial=delivery)

    # --- ending -------------------------------------------------------------

    @override
    def stop_accepting(self) -> None:
        self._pump.stop()
        self._admission.close(BrokerClosedError())

    @override
    async def wait_idle(self) -> None:
        await self._admission.idle()

    @override
    def give_up_queued(self) -> None:
        self._closed = True
        for topic in self._all_topics():
            for delivery in topic.abandon():
                self._give_up_closed(delivery, handler=topic.name)

    @override
    async def wait_handlers(self) -> None:
        await asyncio.gather(*(topic.wait_idle() for topic in self._all_topics()))

    @override
    async def stop_handlers(self, *, patience: timedelta) -> None:
        await self._pump.ended()
        await stop_topics(self._all_topics(), patience=patience, clock=self._clock)

    @override
    async def stop_listeners(self, *, patience: timedelta) -> None:
        await self._listeners.stop(patience=patience)

    # --- verdicts -----------------------------------------------------------

    def _carry_out(self, verdict: Verdict, delivery: Delivery) -> timedelta | None:
        """Do what was decided; return when to try again, or None when the event is done."""
        for error in verdict.errors:
            self._listeners.report(delivery, event=delivery.event, error=error)
        if isinstance(verdict, Handled):  # nearly all are, and `match` takes longer to see it
            self._release(delivery)  # before its outputs: the event itself may be among them
            for trouble in verdict.troubles:
                self._carry_out(trouble, delivery)
            for output in verdict.outputs:
                self._emit(output, delivery)
            return None
        if isinstance(verdict, GiveUp):
            self._release(delivery)
            self._give_up(verdict, delivery)
            return None
        if verdict.counts:
            count_retry(delivery.event.to or delivery.event.type)
        return verdict.after

    def _give_up(self, verdict: GiveUp, delivery: Delivery) -> None:
        if self._closed:  # replies can no longer be delivered
            letter = replace(verdict.letter, replied=False)
            self._listeners.give_up(letter, cause=delivery)
            return
        self._listeners.give_up(verdict.letter, cause=delivery)
        if verdict.reply_error is not None:
            self._listeners.report(delivery, event=delivery.event, error=verdict.reply_error)
        for reply in verdict.replies:
            self._emit(reply, delivery)

    def _emit(self, event: ArvoEvent, cause: Delivery) -> None:
        """Send an event on its way that a handler emitted."""
        context = cause.context.copy()
        if event.domain is None or self._closed:
            self.take(event, cause.tree, context)
        elif self._owner.on_domained_event is None:
            self._unroutable(Delivery(event, cause.tree, context))
        else:
            back = partial(self._come_back, tree=cause.tree, context=context)
            function = partial(self._owner.on_domained_event, event, back)
            delivery = Delivery(event, cause.tree, context)
            self._listeners.call(delivery, function=function, name="on_domained_event")

    async def _come_back(self, event: ArvoEvent, *, tree: AnyTree, context: Context) -> None:
        """Take an answer from outside: immediately while its tree waits, otherwise as a new event."""
        if tree.ended:
            await self._take_in_turn(event, tree)
        else:
            self.take(event, tree, context.copy())

    def _all_topics(self) -> list[Topic[Delivery, Verdict]]:
        return [*self.topics.values(), *self._leaving]

    def _release(self, delivery: Delivery) -> None:
        """Let no further event join a delivery: it is handled, or given up."""
        identity = delivery.identity
        if identity is not None and self._under_way.get(identity) is delivery:
            del self._under_way[identity]
            if self._ticks:
                self._ticks.discard(identity)

    def _give_up_closed(self, delivery: Delivery, *, handler: str | None) -> None:
        self._release(delivery)
        letter = DeadLetter(
            event=delivery.event,
            error=UndeliveredError(delivery.event),
            attempts=delivery.failed,
            handler=handler,
            reason=DeadLetterReason.CLOSED,
        )
        self._listeners.give_up(letter, cause=delivery)

    def _unroutable(self, delivery: Delivery) -> None:
        letter = DeadLetter(
            event=delivery.event,
            error=UnroutableError(delivery.event),
            attempts=0,
            handler=None,
            reason=DeadLetterReason.UNROUTABLE,
        )
        self._listeners.give_up(letter, cause=delivery)


def _identity(event: ArvoEvent) -> Identity:
    return (event.to or event.type, event.source, event.id)
