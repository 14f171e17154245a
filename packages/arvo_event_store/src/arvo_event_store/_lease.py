"""Leases of targets, and how they end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ._append import Append
from ._event import Event
from ._target import TargetKind


# These two are not frozen, as that would triple the cost of making one; nobody must change them.
@dataclass(slots=True, kw_only=True)
class Lease:
    """A target that a worker has, with the next of its events."""

    group: str
    """The group."""
    reaction: str
    """The reaction."""
    key: str
    """The target."""
    reads: TargetKind
    """What the target reads."""
    stream: str | None
    """The stream it reads; None if it reads several."""
    at: int
    """Its watermark."""
    mark: int
    """The highest position that concerns it."""
    token: int
    """The number of the lease, above those of all earlier ones."""
    attempt: int
    """How often it was claimed since its last progress and its last recorded failure, this one
    included. Above 1, a worker ended without a word."""
    failed: int
    """How many tries of its next event failed."""
    lagging: bool
    """Whether it was claimed as one of those that are furthest behind."""
    events: Sequence[Event]
    """The next events, in order. Empty if what it was marked for is not there any more."""
    upto: int
    """The watermark once all of `events` are done: the last of them if there may be more, else
    `mark`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The events up to `Finish.at` are done, and the lease ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The events up to `Finish.at` are done, and the lease goes on."""

    ttl: timedelta
    """For how long, from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """The try of an event failed, and follows again."""

    error: str
    """What it failed with."""
    position: int
    """The event."""
    failed: int
    """How many tries of it failed, this one included."""
    after: timedelta
    """How long until the next one; 0 is at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """An event asked to be tried later, which is no failure."""

    failed: int
    """How many tries of it failed before."""
    after: timedelta | None = None
    """How long until then; None if `until` is given."""
    until: datetime | None = None
    """The time, with a time zone, by the store's clock; None if `after` is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The tries of an event are used up, and its target stops until an operator helps."""

    error: str
    """What the last one failed with."""
    position: int
    """The event."""
    failed: int
    """How many tries of it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """The tries of an event are used up; it is put aside, and its target goes on after it."""

    error: str
    """What the last one failed with."""
    position: int
    """The event; the watermark becomes this."""
    failed: int
    """How many tries of it failed."""


Then = Done | Progress | Retried | Postponed | Blocked | Parked
"""How a lease goes on."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL that is executed with the acknowledgement."""

    sql: str
    """The statement, with the placeholders of the store's database."""
    parameters: tuple[Any, ...] = ()
    """Its parameters."""


Work = Statement | Callable[..., Any]
"""What is done in the transaction of a finish: a statement, or a function that the store calls as its
own `write` or `transaction` would."""


@dataclass(slots=True, kw_only=True)
class Finish:
    """What becomes of a lease, and what is stored with it, all or nothing."""

    lease: Lease
    """The lease."""
    at: int
    """The position up to which the events are done; from `lease.at` to `lease.mark`."""
    then: Then
    """How it goes on."""
    appends: Sequence[Append] = ()
    """What to append, each stream once."""
    work: Sequence[Work] = field(default=())
    """What to do before it is appended, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What became of a finish."""

    error: Exception | None
    """None if it is stored. Otherwise nothing of it is: `LeaseLostError` if somebody else has the
    lease by now, or nobody; what an append was refused with; what the work raised. But for
    `LeaseLostError`, the lease still stands."""
