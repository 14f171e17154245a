"""What came of a delivery, and what is stored with its acknowledgement."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetter


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """An event that a worker has in hand until it is settled, released or lost."""

    event: ArvoEvent
    """The event."""
    _: KW_ONLY
    deliveries: int
    """How often it was handed out since it was stored or postponed, this time included. Counted by
    the engine, so it also counts when a worker died before it began."""
    failed: int = 0
    """How many tries had failed when it was postponed, as `Later.failed` said."""
    again: str = ""
    """Which copy on purpose it is; empty when it is the first, or a mere repetition. What is stored
    with its settlement carries the same name."""
    stored_at: datetime | None = None
    """When the engine stored it, or its delay ended, by the engine's clock, in UTC; None where the
    engine does not say."""
    token: Any = field(default=None, repr=False)
    """What the inbox knows it by."""


@dataclass(frozen=True, slots=True)
class Output:
    """An event to store, and the topic it goes to."""

    event: ArvoEvent
    """The event."""
    _: KW_ONLY
    topic: str
    """The topic: of what a handler emitted `topic_of_output`, of what was published `address_of`."""
    encoded: bytes | None = field(default=None, repr=False, compare=False)
    """The event as `to_json` writes it, in UTF-8, where that is known already; None to write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The event is handled: store what came of it, and forget the delivery."""

    outputs: Sequence[Output] = ()
    """What came of it, in order. One to a topic that nobody has declared is kept as a dead letter,
    `unroutable`."""
    letters: Sequence[DeadLetter] = ()
    """Outputs that will not be published, each as a dead letter of its own."""
    work: Sequence[object] = ()
    """Statements to run in the same transaction, of a memory in `TransportCapabilities.joins`; every
    other transport refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The try failed: hand the event out again later, as a new delivery. Not on ordered topics."""

    delay: timedelta
    """How long to wait, at least; zero or more."""
    failed: int
    """How many tries have failed so far; `Received.failed` of the next delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """The event will not be handled: keep it as a dead letter, and forget the delivery."""

    letter: DeadLetter
    """The letter."""
    outputs: Sequence[Output] = ()
    """What is told to its sender, in order."""


Settlement: TypeAlias = Done | Later | Dead
"""How a delivery ends."""
