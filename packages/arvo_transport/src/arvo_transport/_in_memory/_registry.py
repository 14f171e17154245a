"""Which topics there are."""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from arvo_event_handler.delivery import Order
from arvo_transport._errors import TopicConflictError, UnknownTopicError
from arvo_transport._topic import TopicKind, TopicSpec, TopicState

from ._engine_clock import EngineClock
from ._entry import Microseconds
from ._topic_log import TopicLog


@dataclass(slots=True, kw_only=True, eq=False)
class Topic:
    """A topic that was declared, with its events."""

    name: str
    kind: TopicKind
    partitions: int
    owned: bool
    max_waiting: int | None
    declared_by: str
    declared_at: datetime
    log: TopicLog
    known: set[str] = field(default_factory=set)
    """The delivery ids of all that was ever stored."""
    inboxes: set[object] = field(default_factory=set)
    """Those that receive."""

    def pause(self, *, paused: bool) -> None:
        """Let its events wait, or go on."""
        self.log.paused = paused
        self.log.notify()

    def state(self) -> TopicState:
        """Return what is shown of it."""
        return TopicState(
            name=self.name,
            order=self.log.order,
            partitions=self.partitions,
            kind=self.kind,
            owned=self.owned,
            max_waiting=self.max_waiting,
            paused=self.log.paused,
            declared_by=self.declared_by,
            declared_at=self.declared_at,
        )


class Registry:
    """The topics of an engine.

    Args:
        clock: The engine's.
        patience: Of their logs.
        partitions: How many a new ordered topic has.
    """

    def __init__(self, *, clock: EngineClock, patience: Microseconds, partitions: int) -> None:
        self._clock = clock
        self._patience = patience
        self._partitions = partitions
        self._topics: dict[str, Topic] = {}

    def declare(self, specs: Iterable[TopicSpec]) -> None:
        """Make topics exist, all or none."""
        wanted = list(specs)
        for spec in wanted:
            self._check(spec)
        for spec in wanted:
            self._declare(spec)

    def find(self, name: str) -> Topic | None:
        """Return a topic, or None when nobody has declared it."""
        return self._topics.get(name)

    def get(self, name: str) -> Topic:
        """Return a topic that must have been declared."""
        found = self._topics.get(name)
        if found is None:
            raise UnknownTopicError(name)
        return found

    def states(self) -> list[TopicState]:
        """Return what is shown of all topics, by name."""
        return [self._topics[name].state() for name in sorted(self._topics)]

    async def relayout(self, name: str, *, order: Order | None, partitions: int | None) -> None:
        """Give a topic another order, or other partitions, once nothing of it is in hand."""
        topic = self.get(name)
        wanted = topic.log.order if order is None else order
        if wanted == "none" and partitions not in (None, 1):
            raise ValueError(
                f"topic {name!r} has no order, so it has one partition, not {partitions}; "
                "give it an order too"
            )
        async with topic.log.at_rest():
            self._lay_out(topic, order=wanted, partitions=partitions)

    def _lay_out(self, topic: Topic, *, order: Order, partitions: int | None) -> None:
        """Give a topic another order, or other partitions."""
        if order == "none":
            topic.partitions = 1
        elif partitions is not None:
            topic.partitions = partitions
        elif topic.log.order == "none":
            topic.partitions = self._partitions
        if topic.log.order != order:
            topic.log.reorder(order)

    def _check(self, spec: TopicSpec) -> None:
        topic = self._topics.get(spec.name)
        if topic is None:
            return
        if "answers" in (spec.kind, topic.kind) and spec.kind != topic.kind:
            raise ValueError(
                f"topic {spec.name!r} was declared with kind {topic.kind!r}, not {spec.kind!r}: "
                "the address of a client cannot have handlers"
            )
        if topic.owned and spec.owner and topic.log.order != spec.order:
            raise TopicConflictError(
                spec.name,
                order=topic.log.order,
                wanted=spec.order,
                declared_by=topic.declared_by,
            )

    def _declare(self, spec: TopicSpec) -> None:
        topic = self._topics.get(spec.name)
        if topic is None:
            self._topics[spec.name] = self._new(spec)
            return
        if spec.owner and not topic.owned:
            topic.owned = True
            topic.kind = spec.kind
            self._lay_out(topic, order=spec.order, partitions=None)
        if spec.owner:
            topic.max_waiting = spec.max_waiting

    def _new(self, spec: TopicSpec) -> Topic:
        return Topic(
            name=spec.name,
            kind=spec.kind,
            partitions=self._partitions if spec.ordered else 1,
            owned=spec.owner,
            max_waiting=spec.max_waiting,
            declared_by=f"{socket.gethostname()}:{os.getpid()}",
            declared_at=self._clock.utc_now(),
            log=TopicLog(order=spec.order, clock=self._clock, patience=self._patience),
        )
