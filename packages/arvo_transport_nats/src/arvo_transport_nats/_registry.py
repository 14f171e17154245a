"""Which topics there are: a bucket that all processes of a namespace share."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, errors as js_errors
from nats.js.kv import KeyValue
from pydantic import TypeAdapter, ValidationError

from arvo_event_handler.delivery import Order
from arvo_time import Clock
from arvo_transport import (
    TopicConflictError,
    TopicKind,
    TopicSpec,
    TopicState,
    TransportError,
    UnknownTopicError,
)

from ._failure import DRIVER_ERRORS, is_there_already, transport_error
from ._names import Names, can_be_topic, token

LOOK_EVERY: Final = timedelta(seconds=2)
"""How long a worker may rely on what it knows of a topic, as the bell may be missed."""
_SETTLED_AFTER: Final = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A topic on its way to another layout."""

    order: Order
    partitions: int
    by: str
    """Who moves it."""
    until: datetime
    """When another may go on with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as the registry has it."""

    name: str
    order: Order
    partitions: int
    kind: TopicKind
    owned: bool
    max_waiting: int | None
    paused: bool = False
    declared_by: str
    declared_at: datetime
    generation: int = 0
    """How often it was laid out anew; its stream is named after it."""
    move: Move | None = None
    """Where it is on its way to; None when it stays."""
    revision: int = field(default=0, compare=False)
    """Of this entry in the registry, for changing it only when nobody else has."""

    @property
    def at_rest(self) -> bool:
        """Whether its events are to wait."""
        return self.paused or self.move is not None

    @property
    def wanted_order(self) -> Order:
        """The order it has, or will have."""
        return self.order if self.move is None else self.move.order

    def state(self) -> TopicState:
        """Return what is shown of it."""
        return TopicState(
            name=self.name,
            order=self.order,
            partitions=self.partitions,
            kind=self.kind,
            owned=self.owned,
            max_waiting=self.max_waiting,
            paused=self.at_rest,
            declared_by=self.declared_by,
            declared_at=self.declared_at,
        )


_ENTRY: Final = TypeAdapter(Topic)


def me() -> str:
    """Return what this process is called where others read it."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Registry:
    """The topics of a namespace.

    What was once read of a topic is kept, as publishers learn from the streams when it does not hold
    any more. A change rings a bell, the publication that makes it; who cannot miss one looks
    from time to time.

    Args:
        js: JetStream.
        names: What is called how.
        clock: For when a topic was declared.
        partitions: How many a new ordered topic has.
    """

    def __init__(
        self, js: JetStreamContext, *, names: Names, clock: Clock, partitions: int
    ) -> None:
        self._js = js
        self._names = names
        self._clock = clock
        self._partitions = partitions
        self._bucket: KeyValue | None = None
        self._known: dict[str, Topic] = {}
        self._bell: Subscription | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._listeners: set[Callable[[], None]] = set()

    @property
    def partitions(self) -> int:
        """How many a new ordered topic has."""
        return self._partitions

    async def open(self, *, replicas: int) -> None:
        """Make the bucket exist, and listen for changes."""
        bucket = self._names.registry
        try:
            self._bucket = await self._js.create_key_value(bucket=bucket, replicas=replicas)
        except js_errors.APIError as error:
            if not is_there_already(error):
                raise
            self._bucket = await self._js.key_value(bucket)
        client = self._js._nc  # noqa: SLF001 - it has no public name
        self._bell = await client.subscribe(f"$KV.{bucket}.>", cb=self._rung)

    async def close(self) -> None:
        """Stop listening."""
        bell, self._bell = self._bell, None
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        if bell is not None and not self._js._nc.is_closed:  # noqa: SLF001
            await bell.unsubscribe()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after changes; return what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    # --- looks --------------------------------------------------------------

    async def find(self, name: str) -> Topic | None:
        """Return a topic, as it was when it was last read; None when nobody has declared it."""
        return self._known.get(name) or await self.look(name)

    async def get(self, name: str) -> Topic:
        """Return a topic as it is now.

        Raises:
            UnknownTopicError: Nobody has declared it.
        """
        found = await self.look(name)
        if found is None:
            raise UnknownTopicError(name)
        return found

    async def look(self, name: str) -> Topic | None:
        """Return a topic as it is now; None when nobody has declared it."""
        if not can_be_topic(name):  # the server would refuse the question
            return None
        try:
            entry = await self._kv.get(token(name))
        except js_errors.NotFoundError:
            self._known.pop(name, None)
            return None
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"look up the topic {name!r}") from error
        found = replace(_parsed(entry.value, name=name), revision=entry.revision or 0)
        self._known[name] = found
        return found

    async def all(self) -> list[Topic]:
        """Return all topics, by name."""
        stream = f"KV_{self._names.registry}"
        prefix = f"$KV.{self._names.registry}."
        try:
            info = await self._js.stream_info(stream, subjects_filter=f"{prefix}>")
            subjects = sorted(info.state.subjects or {})
            entries = await asyncio.gather(
                *(self._js.get_last_msg(stream, subject) for subject in subjects)
            )
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing="list the topics") from error
        topics = [
            replace(_parsed(entry.data, name=subject), revision=entry.seq or 0)
            for subject, entry in zip(subjects, entries, strict=True)
        ]
        return sorted(topics, key=lambda each: each.name)

    # --- changes ------------------------------------------------------------

    async def declare(self, specs: Iterable[TopicSpec]) -> list[Topic]:
        """Make topics exist in the registry, all or none; return them as they are then."""
        wanted = list(specs)
        for spec in wanted:
            self._names.stream(spec.name, generation=0)  # refused when it is too long
            _check(spec, await self.look(spec.name))
        return [await self._declare(spec) for spec in wanted]

    async def change(self, topic: Topic, **members: object) -> Topic | None:
        """Change members of an entry; return the new one, or None when it was changed meanwhile."""
        changed = replace(topic, **members)  # type: ignore[arg-type]
        body = _ENTRY.dump_json(changed, exclude={"revision"})
        try:
            if topic.revision:
                revision = await self._kv.update(token(topic.name), body, last=topic.revision)
            else:
                revision = await self._kv.create(token(topic.name), body)
        except js_errors.KeyWrongLastSequenceError:
            self._known.pop(topic.name, None)
            return None
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"change the topic {topic.name!r}") from error
        stored = replace(changed, revision=revision)
        self._known[topic.name] = stored
        self._notify()
        return stored

    async def _declare(self, spec: TopicSpec) -> Topic:
        while True:
            topic = await self.look(spec.name)
            _check(spec, topic)
            if topic is None:
                stored = await self.change(self._new(spec))
            elif spec.owner and not topic.owned:
                stored = await self.change(topic, **self._taken_over(spec, topic))
            elif spec.owner and topic.max_waiting != spec.max_waiting:
                stored = await self.change(topic, max_waiting=spec.max_waiting)
            else:
                return topic
            if stored is not None:
                return stored

    def _new(self, spec: TopicSpec) -> Topic:
        return Topic(
            name=spec.name,
            order=spec.order,
            partitions=self._partitions if spec.ordered else 1,
            kind=spec.kind,
            owned=spec.owner,
            max_waiting=spec.max_waiting,
            declared_by=me(),
            declared_at=self._clock.now(),
        )

    def _taken_over(self, spec: TopicSpec, topic: Topic) -> dict[str, object]:
        """Return what its first owner changes of a topic that only askers have declared."""
        changes: dict[str, object] = {
            "owned": True,
            "kind": spec.kind,
            "max_waiting": spec.max_waiting,
            "declared_by": me(),
        }
        if spec.order != topic.order:
            changes["move"] = self.move(topic, order=spec.order, partitions=None)
        return changes

    def move(self, topic: Topic, *, order: Order, partitions: int | None) -> Move:
        """Return the way of a topic to another layout, which nobody goes yet."""
        if order == "none":
            parts = 1
        elif topic.order == "none":
            parts = partitions or self._partitions
        else:
            parts = partitions or topic.partitions
        return Move(order=order, partitions=parts, by="", until=self._clock.now())

    # --- the bell -----------------------------------------------------------

    async def _rung(self, bell: Msg) -> None:
        look = asyncio.ensure_future(self._look_again(bell))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def _look_again(self, bell: Msg) -> None:
        """Read an entry that somebody changes, once the bucket has the change."""
        await self._clock.sleep(_SETTLED_AFTER)
        known = [name for name in self._known if bell.subject.endswith(f".{token(name)}")]
        for name in known:
            try:
                await self.look(name)
            except TransportError:
                self._known.pop(name, None)  # whoever needs it asks, and gets the error
        self._notify()

    def _notify(self) -> None:
        for listener in list(self._listeners):
            listener()

    @property
    def _kv(self) -> KeyValue:
        if self._bucket is None:
            raise RuntimeError("open() was not awaited")
        return self._bucket


def _parsed(value: bytes | None, *, name: str) -> Topic:
    try:
        return _ENTRY.validate_json(value or b"")
    except ValidationError as error:
        raise TransportError(
            f"the registry has an entry for {name!r} that this version of Arvo cannot read: "
            f"{error.errors()[0]['msg']}",
            retryable=False,
            outcome="failed",
        ) from error


def _check(spec: TopicSpec, topic: Topic | None) -> None:
    """Check that a declaration fits what was declared before."""
    if topic is None:
        return
    if "answers" in (spec.kind, topic.kind) and spec.kind != topic.kind:
        raise ValueError(
            f"topic {spec.name!r} was declared with kind {topic.kind!r}, not {spec.kind!r}: "
            "the address of a client cannot have handlers"
        )
    if topic.owned and spec.owner and topic.wanted_order != spec.order:
        raise TopicConflictError(
            spec.name,
            order=topic.wanted_order,
            wanted=spec.order,
            declared_by=topic.declared_by,
        )
