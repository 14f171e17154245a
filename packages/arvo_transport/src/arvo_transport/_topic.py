"""Topics: where events wait for those who handle them."""

import zlib
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Order
from arvo_time.settings import check_count, check_flag, check_instance

TopicKind: TypeAlias = Literal["handler", "domain", "answers"]
"""What a topic is for: the events of a `handler`, events for the outside with a `domain`, or the
`answers` to the requests of a client, which wait in an answer box."""

DOOR: Final = "in"
"""The topic that takes events from outside, of whatever language: each worker serves it."""
_DOMAIN: Final = "domain:"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic, as a worker or a client wants it.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: `name` is empty, `order` or `kind` unknown, or `max_waiting` below 1.

    Example:
        >>> TopicSpec("com.order", order="subject").owner
        True
    """

    name: str
    """The topic: the `source` of its handler, `domain:<name>`, or the address of a client."""
    _: KW_ONLY
    order: Order = "none"
    """What its events wait for: `subject`, those of the same subject; `key`, those of the same
    `partitionkey`; `none`, nothing."""
    kind: TopicKind = "handler"
    """What it is for."""
    owner: bool = True
    """Whether who declares it handles its events, and so decides its order. False: it only sends to
    it, and the order is a guess until the owner comes."""
    max_waiting: int | None = None
    """How many events may wait before clients are to wait (`Publisher`); None for any number. Of
    several owners, the latest to declare the topic decides."""

    def __post_init__(self) -> None:
        check_instance(self.name, kind=str, name="name")
        check_flag(self.owner, name="owner")
        if not self.name:
            raise ValueError("a topic's name must not be empty")
        if self.order not in ("subject", "key", "none"):
            raise ValueError(f'order must be "subject", "key" or "none", got {self.order!r}')
        if self.kind not in ("handler", "domain", "answers"):
            raise ValueError(f'kind must be "handler", "domain" or "answers", got {self.kind!r}')
        if self.max_waiting is not None:
            check_count(self.max_waiting, name="max_waiting", least=1)

    @property
    def ordered(self) -> bool:
        """Whether some of its events wait for others."""
        return self.order != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic as the registry of a transport has it."""

    name: str
    """The topic."""
    order: Order
    """As `TopicSpec.order`."""
    partitions: int
    """How many parts an ordered topic has, each of which one worker at a time handles; 1 for one
    without order."""
    kind: TopicKind
    """As `TopicSpec.kind`."""
    owned: bool
    """Whether somebody who handles its events has declared it, or only those who send to it."""
    max_waiting: int | None
    """As `TopicSpec.max_waiting`."""
    paused: bool
    """Whether its events wait, as somebody paused it."""
    declared_by: str
    """Who declared it first: host and process, for messages."""
    declared_at: datetime
    """When, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDepth:
    """How many events a topic has. Exact while nothing moves."""

    waiting: int
    """Events that nobody has in hand."""
    in_hand: int
    """Events that are being handled, or were by a worker that has not been missed yet."""
    delayed: int
    """Events that wait for their time."""
    dead: int
    """Dead letters of the topic."""
    oldest: datetime | None
    """When the oldest waiting event was stored, in UTC; None when none waits."""
    workers: int
    """How many workers receive from it."""


def address_of(event: ArvoEvent) -> str:
    """Return the topic that a published event goes to: its `to`, else its type.

    A domain counts for what handlers emit alone, see `topic_of_output`.
    """
    return event.to or event.type


def topic_of_output(event: ArvoEvent) -> str:
    """Return the topic that an event goes to which a handler has emitted.

    Example:
        >>> ask = ArvoEvent.create(
        ...     source="com.order", type="com.human.approve", subject="a", data={}, domain="human"
        ... )
        >>> topic_of_output(ask), address_of(ask)
        ('domain:human', 'com.human.approve')
    """
    return address_of(event) if event.domain is None else domain_topic(event.domain)


def domain_topic(domain: str) -> str:
    """Return the topic of the events of a domain."""
    return f"{_DOMAIN}{domain}"


def partition_of(key: str, *, partitions: int) -> int:
    """Return the partition of a key: CRC-32 (IEEE) of its UTF-8 bytes, modulo the number of them.

    Publishers in other languages compute the same.

    Args:
        key: What the event is ordered by.
        partitions: How many there are.

    Example:
        >>> partition_of("order-7", partitions=64)
        26
    """
    return zlib.crc32(key.encode()) % partitions
