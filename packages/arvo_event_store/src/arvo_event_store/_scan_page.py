"""What a scan reads, and what it leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ._event import Event
from ._target import TargetKind


# These are not frozen, as that would triple the cost of making one; nobody must change them.
@dataclass(slots=True, kw_only=True)
class ScanPage:
    """Events that some reactions have not seen yet, under the lease of one scanner."""

    group: str
    """The group."""
    owner: UUID
    """Who scans."""
    tokens: Mapping[str, int]
    """The reactions that are scanned, with the tokens of their leases."""
    scanned: Mapping[str, int]
    """Up to where each of them had been scanned; it has seen the events up to there."""
    events: Sequence[Event]
    """The events after the lowest of these positions, in order. Some that none of the reactions
    takes may be left out."""
    upto: int
    """The position up to which this is all there is; never beyond the horizon."""
    complete: bool
    """Whether `upto` was the horizon when the page was read."""
    others: bool
    """Whether other reactions that this scanner leased are so far ahead or behind that they were
    left out."""


@dataclass(slots=True, kw_only=True)
class Mark:
    """A target that events concern. One that exists keeps all but its mark, which only grows."""

    reaction: str
    """The reaction."""
    key: str
    """Which of its targets: a stream, a position as a decimal, or any key."""
    lane: str
    """The lane of a new one."""
    reads: TargetKind
    """What it reads: its stream, its event, the positions listed for it, or the log."""
    stream: str | None
    """The stream of the events; None for a target that reads several."""
    at: int
    """The watermark of a new one: below the first event that concerns it."""
    mark: int
    """The position of the last event that concerns it."""
    positions: Sequence[int] = ()
    """The positions to list for it, if it reads a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnroutedEvent:
    """An event that could not be routed, which is parked under the key "?"."""

    reaction: str
    """The reaction whose route failed."""
    position: int
    """The event."""
    error: str
    """What the route failed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What there is to do in a group."""

    lanes: frozenset[str]
    """The lanes that have a target with work which nobody has, or which is due."""
    due_after: timedelta | None
    """How long until the next target of the lanes that were asked for wakes, at least 0; None if none
    of theirs is asleep."""
