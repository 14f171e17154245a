"""The protocols between brokers and engines."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import IDeadLetters, Order

from ._capabilities import TransportCapabilities
from ._settlement import Received, Settlement
from ._topic import TopicDepth, TopicSpec, TopicState


class IEventInbox(Protocol):
    """The deliveries of one topic to one worker.

    Its calls may be made concurrently. What it hands out is in hand until it is settled, released
    or lost; several events of one key may be in hand at once, in order, and are settled in order.
    """

    async def receive(self, limit: int) -> Sequence[Received]:
        """Wait for at least one event, and return up to `limit`; none once the inbox was stopped.

        Of an ordered topic, events of one key come in the order in which they were stored, and
        only this worker has the key in hand. What a worker that died had in hand comes first.
        Cancelling it loses nothing: events that it took without returning them come again, and
        where the engine can, without having been counted.

        Args:
            limit: How many at most; at least 1.

        Raises:
            TransportError: The engine failed, and so did several tries with a growing pause.
        """
        ...

    async def settle(self, received: Received, settlement: Settlement) -> None:
        """End a delivery: store what came of it, then forget it.

        Returns when that is confirmed. The settlements of one turn of the event loop go to the
        engine together. An output carries `received.again`, which may be another than the delivery
        came with: `dataclasses.replace(received, again=...)`. Settling again after an unknown
        outcome is right.

        Raises:
            DeliveryLostError: The event is not in hand any more.
            SettleRefusedError: The work or an output was refused; nothing was stored.
            TransportError: The engine failed.
            TypeError: `Done.work` on a transport that joins no database.
            ValueError: `Later` on an ordered topic, or with a delay below zero.
        """
        ...

    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        """Keep events in hand that are still being handled; return those that were lost.

        Call it for everything in hand at least every `patience / 3`.

        Raises:
            TransportError: The engine failed.
        """
        ...

    @property
    def patience(self) -> timedelta:
        """How long the engine leaves an event in hand without a word from the worker."""
        ...

    async def release(
        self, held: Sequence[Received], *, pause: timedelta = timedelta(0), begun: bool = False
    ) -> None:
        """Give events back that were not handled, in good order: others have them immediately.

        Where the engine can say so, that was no delivery (`TransportCapabilities.counts_returns`),
        unless it was `begun`. What was lost meanwhile is passed over.

        Args:
            held: The events.
            pause: How long this inbox does not take them again; of an ordered topic, nor what comes
                after them.
            begun: Whether their handling was begun here, so that something may have been stored on
                the way: then who gets them next knows by the count, which is above 1. It does not
                rise with each return: no worker died of them.

        Raises:
            TransportError: The engine failed; it will miss the events after `patience`.
        """
        ...

    async def pause(self) -> None:
        """Take nothing more until the next `receive`; call it while none waits.

        When this has returned, the engine gives nothing to this inbox until then, and what it gave
        that no `receive` has returned was given back. So an event that ends the worker now is the
        only one that is counted. It may wait for what the engine is about to give. Idempotent.

        Raises:
            TransportError: The engine failed.
        """
        ...

    async def stop(self) -> None:
        """Receive nothing more; what is in hand may still be settled. Idempotent.

        A `receive` that waits returns nothing. When this has returned, the engine gives nothing more
        to this inbox.
        """
        ...


class IEventTransport(IDeadLetters, Protocol):
    """Carries events between processes, over an engine that keeps them.

    Used by many tasks of one event loop. Verify yours with
    `arvo_transport.testing.EventTransportSuite`.

    A topic exists once somebody has declared it. Events in its dead letters are kept until they are
    redriven or dropped.
    """

    @property
    def capabilities(self) -> TransportCapabilities:
        """What the engine can do."""
        ...

    async def declare(self, topics: Iterable[TopicSpec]) -> None:
        """Make topics exist. Idempotent, and safe from many processes at once.

        A topic that only askers have declared takes the order of its first owner, and keeps what
        waits in it. Each owner decides anew how many events may wait.

        Raises:
            TopicConflictError: Another owner has declared one with another order; nothing changed.
            TransportError: The engine failed.
            ValueError: The address of a client (kind `answers`) is declared as a topic of events, or
                the reverse; nothing changed.
        """
        ...

    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
    ) -> None:
        """Store events in the topics of their addresses; they are stored when it returns.

        Publishing one again is a repetition, which an engine swallows for as long as
        `TransportCapabilities.duplicates_dropped_for` says.

        Args:
            events: The events; each goes to the topic `to`, or of its type. To a topic of kind
                `answers`, it goes into the answer box.
            at: The time before which they are not handed out, with its time zone; None for none.
            again: Names a copy on purpose, so that it is not swallowed as a repetition.

        Raises:
            EventTooLargeError: One is too large; nothing was stored.
            TransportError: The engine failed; `stored` are stored all the same.
            UnroutableError: Nobody has declared one of the topics; nothing was stored.
            ValueError: `at` without a time zone, further ahead than `longest_delay`, or for an
                ordered topic.
        """
        ...

    def inbox(self, topic: TopicSpec, *, prefetch: int) -> AbstractAsyncContextManager[IEventInbox]:
        """Receive the events of a topic that was declared, for as long as the block lasts.

        At its end, what is still in hand is released, as begun.

        Args:
            topic: The topic, as it was declared.
            prefetch: How many events are about to be in hand at a time; a hint.

        Raises:
            TransportError: The engine failed.
            ValueError: `topic` is of kind `answers`, or `prefetch` is below 1.
        """
        ...

    async def topics(self) -> Sequence[TopicState]:
        """Return all topics that were declared, by name.

        Raises:
            TransportError: The engine failed.
        """
        ...

    async def pause(self, topic: str, *, paused: bool) -> None:
        """Let the events of a topic wait, or go on. Within 5 seconds all workers follow.

        Publishing goes on, and what is in hand is finished.

        Raises:
            UnknownTopicError: Nobody has declared the topic.
            TransportError: The engine failed.
        """
        ...

    async def relayout(
        self, topic: str, *, order: Order | None = None, partitions: int | None = None
    ) -> None:
        """Give a topic another order, or other partitions, while it is in use.

        It pauses the topic, waits until nothing is in hand, and moves what waits, in order. After a
        crash, call it again.

        Args:
            topic: The topic.
            order: The new order; None for the one it has.
            partitions: How many parts; None for as many as it has. At least 1.

        Raises:
            UnknownTopicError: Nobody has declared the topic.
            TransportError: The engine failed.
            ValueError: `partitions` is below 1.
        """
        ...

    async def peek(self, topic: str, *, limit: int = 20) -> Sequence[ArvoEvent]:
        """Look at the oldest events that wait. That takes nothing, and counts for nothing.

        Raises:
            UnknownTopicError: Nobody has declared the topic.
            TransportError: The engine failed.
            ValueError: `limit` is below 1.
        """
        ...

    async def depth(self, topic: str) -> TopicDepth:
        """Return how many events a topic has.

        Raises:
            UnknownTopicError: Nobody has declared the topic.
            TransportError: The engine failed.
        """
        ...

    async def ping(self) -> None:
        """Ask the engine for a sign of life.

        Raises:
            TransportError: There is none.
        """
        ...

    async def aclose(self) -> None:
        """Release what the inboxes have in hand, and close. Idempotent.

        Later calls raise `TransportClosedError`.
        """
        ...


class IAnswerBox(Protocol):
    """The answers to the requests that were sent from one address, in whatever process.

    The first answer to a request stays, but a system error gives way to another answer, as of a
    workflow that was retried.
    """

    async def get(self, request: str) -> ArvoEvent | None:
        """Return the answer to a request, or None while there is none.

        Args:
            request: The request's id, which is the answer's `parentid`.

        Raises:
            TransportError: The engine failed.
        """
        ...

    async def wait(self, request: str) -> ArvoEvent:
        """Wait for the answer to a request. Cancelling it ends the waiting only.

        Args:
            request: As for `get`.

        Raises:
            TransportError: The engine failed.
        """
        ...


@runtime_checkable
class IAnsweringTransport(IEventTransport, Protocol):
    """A transport that keeps answers for those who ask from outside."""

    def answers(self, address: str) -> AbstractAsyncContextManager[IAnswerBox]:
        """Return the answer box of an address, for as long as the block lasts.

        Args:
            address: The address, declared as a topic of kind `answers`: `source` of the requests.

        Raises:
            TransportError: The engine failed.
        """
        ...
