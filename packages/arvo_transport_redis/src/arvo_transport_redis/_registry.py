"""Which topics there are, and how they are laid out."""

import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from arvo_event_handler.delivery import Order
from arvo_redis import Server
from arvo_time import Clock
from arvo_transport import TopicConflictError, TopicSpec, TopicState, UnknownTopicError

from ._keys import Keys
from ._scripts import DECLARE, MOVE, PAUSE, REGISTRY

T = TypeVar("T")

_MOVED_AT_ONCE: Final = 500
_LOOK_AGAIN: Final = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All topics at one time."""

    version: str
    """Counts the changes of how any topic is laid out."""
    topics: Mapping[str, TopicState]
    """The topics, by name."""


@dataclass(slots=True, kw_only=True)
class Registry:
    """The topics of a namespace; remembers what it has read."""

    server: Server
    """Keeps them."""
    keys: Keys
    """Their names."""
    partitions: int
    """How many an ordered topic gets that this one lays out."""
    lease: timedelta
    """For how long a worker keeps its events without a word."""
    clock: Clock
    """For when a topic was declared, and for pauses."""
    _known: Layout | None = field(default=None, init=False)

    async def declare(self, topics: Iterable[TopicSpec]) -> None:
        """Make topics exist.

        Raises:
            TopicConflictError: An owner has declared one with another order.
            TransportError: The server failed.
        """
        wanted = {spec.name: spec for spec in topics}
        if not wanted:
            return
        words: list[str] = []
        for spec in wanted.values():
            entry = self._entry(spec)
            words += [spec.name, json.dumps(entry), self.keys.partitions(spec.name)]
        status, *rest = await self.server.run(DECLARE, self.keys.registry, self.keys.layout, *words)
        if status == b"conflict":
            topic, order, declared_by = (each.decode() for each in rest)
            raise TopicConflictError(
                topic, order=order, wanted=wanted[topic].order, declared_by=declared_by
            )
        if status == b"kind":
            topic, kind = (each.decode() for each in rest)
            raise ValueError(
                f"topic {topic!r} was declared with kind {kind!r}, not {wanted[topic].kind!r}: "
                "the address of a client cannot have handlers"
            )
        self._known = None
        for topic in rest:
            spec = wanted[topic.decode()]
            await self._move(
                spec.name,
                order=spec.order,
                partitions=self._partitions(spec.order),
                first_owner=True,
            )
        if rest:
            await self.declare(wanted.values())

    async def relayout(self, topic: str, *, order: Order | None, partitions: int | None) -> None:
        """Give a topic another order or other partitions.

        Raises:
            UnknownTopicError: Nobody has declared it.
            TransportError: The server failed.
        """
        state = await self.state(topic, fresh=True)
        wanted = state.order if order is None else order
        if wanted == "none" and partitions not in (None, 1):
            raise ValueError(
                f"topic {topic!r} has no order, so it has one partition, not {partitions}; give it "
                "an order too"
            )
        count = self._partitions(wanted)
        if partitions is not None:
            count = partitions
        elif "none" not in (wanted, state.order):
            count = state.partitions
        await self._move(topic, order=wanted, partitions=count, first_owner=False)

    async def pause(self, topic: str, *, paused: bool) -> None:
        """Let the events of a topic wait, or go on.

        Raises:
            UnknownTopicError: Nobody has declared it.
            TransportError: The server failed.
        """
        found = await self.server.run(
            PAUSE,
            self.keys.registry,
            self.keys.paused,
            topic,
            int(paused),
            self.keys.bell(topic),
        )
        self._known = None
        if not found:
            raise UnknownTopicError(topic)

    async def layout(self, *, fresh: bool = False) -> Layout:
        """Return all topics, as they were when they were last read.

        Args:
            fresh: Read them now.

        Raises:
            TransportError: The server failed.
        """
        if self._known is None or fresh:
            entries, version, paused = await self.server.run(
                REGISTRY, self.keys.registry, self.keys.layout, self.keys.paused
            )
            pairs = zip(entries[::2], entries[1::2], strict=True)
            states = [_state(name.decode(), json.loads(entry), paused) for name, entry in pairs]
            states.sort(key=lambda state: state.name)
            self._known = Layout(
                version=version.decode(), topics={state.name: state for state in states}
            )
        return self._known

    async def state(self, topic: str, *, fresh: bool = False) -> TopicState:
        """Return one topic.

        Args:
            topic: Its name.
            fresh: Read it now.

        Raises:
            UnknownTopicError: Nobody has declared it.
            TransportError: The server failed.
        """
        found = (await self.layout(fresh=fresh)).topics.get(topic)
        if found is None and not fresh:
            found = (await self.layout(fresh=True)).topics.get(topic)
        if found is None:
            raise UnknownTopicError(topic)
        return found

    async def under_layout(
        self, topics: Iterable[str], call: Callable[[Layout], Awaitable[T]]
    ) -> T:
        """Make a call that depends on how topics are laid out.

        Args:
            topics: Those that it is about; where one is not known, all are read again first.
            call: Makes it; returns 2 when the layout has changed since, and is called again.

        Raises:
            TransportError: The server failed.
        """
        layout = await self.layout()
        if not layout.topics.keys() >= set(topics):
            layout = await self.layout(fresh=True)
        while (result := await call(layout)) == 2:
            layout = await self.layout(fresh=True)
        return result

    async def _move(self, topic: str, *, order: Order, partitions: int, first_owner: bool) -> None:
        while True:
            status = await self.server.run(
                MOVE,
                self.keys.registry,
                self.keys.layout,
                topic,
                self.keys.partitions(topic),
                self.keys.bell(topic),
                order,
                partitions,
                int(first_owner),
                self.lease // timedelta(milliseconds=1),
                _MOVED_AT_ONCE,
                self.keys.paused,
            )
            self._known = None
            if status == b"gone":
                raise UnknownTopicError(topic)
            if status == b"done":
                return
            if status == b"busy":
                await self.clock.sleep(_LOOK_AGAIN)

    def _partitions(self, order: Order) -> int:
        return 1 if order == "none" else self.partitions

    def _entry(self, spec: TopicSpec) -> dict[str, Any]:
        return {
            "order": spec.order,
            "partitions": self._partitions(spec.order),
            "kind": spec.kind,
            "owned": spec.owner,
            "max_waiting": spec.max_waiting,
            "declared_by": f"{socket.gethostname()} (process {os.getpid()})",
            "declared_at": self.clock.now().isoformat(),
        }


def _state(name: str, entry: Mapping[str, Any], paused: Iterable[bytes]) -> TopicState:
    kind: Literal["handler", "domain", "answers"] = entry["kind"]
    return TopicState(
        name=name,
        order=entry["order"],
        partitions=entry["partitions"],
        kind=kind,
        owned=entry["owned"],
        max_waiting=entry["max_waiting"],
        paused=name.encode() in paused,
        declared_by=entry["declared_by"],
        declared_at=datetime.fromisoformat(entry["declared_at"]),
    )
