"""What operators see of reactions."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """An event that was put aside, for an operator to look at."""

    group: str
    """The group."""
    reaction: str
    """The reaction that could not handle it."""
    key: str
    """The target it was for; "?" if the reaction could not tell."""
    position: int
    """The event."""
    error: str
    """What the last try failed with."""
    attempts: int
    """How many tries failed; 0 if it was not routed."""
    parked_at: datetime
    """When it was put aside, by the store's clock, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionLag:
    """How far a reaction is behind."""

    reaction: str
    """The reaction."""
    scanned: int
    """Up to where its events are marked; an addressed reaction stays at its start."""
    unscanned: int
    """How many positions are between that and the horizon; 0 for an addressed reaction."""
    pending: int
    """How many targets have work, blocked ones and those that are asleep not counted."""
    asleep: int
    """How many targets wait until they are due."""
    blocked: int
    """How many targets wait for an operator."""
    parked: int
    """How many events were put aside."""
    oldest: datetime | None
    """When the first event was stored that may not be done: that after the lowest watermark of the
    targets with work, also of those that are blocked or asleep, in UTC; None if no target has work."""
