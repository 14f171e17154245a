"""Appends: what is to be stored, under which condition, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from uuid import UUID

from ._event import NewEvent
from ._expect import Expect
from ._target import Wake

KnownEvents: TypeAlias = Literal["refuse", "skip"]
"""What an append does with ids that are in the log already; see `Append.known`."""


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one stream, for `IEventLog.append_all`."""

    stream: str
    """The stream."""
    events: Sequence[NewEvent]
    """What to append, in this order; nothing at all is allowed, and does nothing."""
    expect: Expect | int = field(default=Expect.ANY, kw_only=True)
    """What the stream must be like: the version of its last event as an int, or an `Expect`."""
    known: KnownEvents = field(default="refuse", kw_only=True)
    """What to do with ids that are in the log already. With "refuse", the same events again, all of
    them, with the same stream, names and data, give what the first append gave, even if `expect` no
    longer holds; anything else is an `EventIdReusedError`. With "skip", known events are left out,
    whatever is in them."""
    wakes: Sequence[Wake] = field(default=(), kw_only=True)
    """The targets to wake, in the same step. Events that are skipped wake nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of an append."""

    stream: str
    """The stream."""
    version: int | None
    """The version of the last event of the append; None if nothing was left to store."""
    position: int | None
    """The position of the last event of the append. If all events were skipped, the position of the
    first of them; None if there were no events."""
    count: int
    """How many events it stored, now or, for a duplicate that was not skipped, the first time. They
    have the versions up to `version`, without gaps."""
    duplicate: bool = False
    """Whether all of its events were in the log already, so that nothing was stored now."""
    skipped: tuple[UUID, ...] = ()
    """The ids that were left out because they were known, in the order of the append."""
