"""Targets: what reactions work for, and which of them an append concerns."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final


class TargetKind(Enum):
    """What a target of a reaction is; users write `PER_STREAM` or `PER_EVENT`."""

    STREAM = "stream"
    """Each stream is a target, and its events are handled in order."""
    EVENT = "event"
    """Each event is a target, in no order, which is gone once it is done."""
    KEY = "key"
    """Each key that a function returns is a target, and what was listed for it is handled in order."""
    LOG = "log"
    """The log is the one target, and all of its events are handled in order."""


PER_STREAM: Final = TargetKind.STREAM
"""Each stream is a target, and its events are handled in order."""
PER_EVENT: Final = TargetKind.EVENT
"""Each event is a target, in no order, which is gone once it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A target that an append concerns, written in the same step as the events.

    Only for targets that read exactly the stream of the append, or one of its events. The key of the
    target is the stream, or the position of the event as a decimal.
    """

    group: str
    """The group of the reaction."""
    reaction: str
    """The reaction."""
    lane: str
    """The lane of a target that is new; one that exists keeps its own."""
    to: TargetKind = PER_STREAM
    """Whether the stream is woken, or each event is a target of its own."""
    due: datetime | None = None
    """Until when a new target sleeps, with a time zone; None if it does not. One that exists is not
    changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """A target as it is stored."""

    group: str
    """The group of its reaction."""
    reaction: str
    """Its reaction."""
    key: str
    """Which of the reaction's targets it is: a stream, a position as a decimal, or any key."""
    lane: str
    """Its lane."""
    stream: str | None
    """The stream it reads; None if it reads several."""
    once: bool
    """Whether it is for one event, and gone once that is done."""
    at: int
    """Its watermark: the position up to which everything is done."""
    mark: int
    """The highest position that concerns it. There is work if this is above `at`."""
    attempt: int
    """How often it was claimed since its last progress."""
    failed: int
    """How many tries of its next event failed."""
    token: int
    """The number of its last lease; only grows."""
    due: datetime | None
    """Until when it sleeps; None if it does not."""
    blocked_at: datetime | None
    """When it was blocked; None if it is not."""
    error: str | None
    """What its last try failed with; None if it did not fail."""
    error_position: int | None
    """The event that failed; None if none did."""
    leased_until: datetime | None = None
    """Until when a worker has it; None if nobody has it. A time that is past is a lease that ran out."""
