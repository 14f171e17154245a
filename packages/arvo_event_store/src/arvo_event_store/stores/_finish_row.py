"""What a finish writes into the row of its target."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from arvo_event_store._errors import LeaseLostError
from arvo_event_store._lease import (
    Blocked,
    Done,
    Finish,
    Lease,
    Parked,
    Postponed,
    Progress,
    Retried,
)
from arvo_event_store._query import check_time
from arvo_event_store._target import TargetKind
from arvo_time.settings import TEN_YEARS, check_count, check_duration, check_instance

from ._error_text import error_text
from ._reaction_definition import check_lease

READS: Final = {
    TargetKind.STREAM: 0,
    TargetKind.EVENT: 1,
    TargetKind.KEY: 2,
    TargetKind.LOG: 3,
}
"""How a target's kind is stored. A stream's reads that stream, an event's the event at its mark, a
key's the positions listed for it, and a log's all that its reaction takes."""


@dataclass(slots=True, kw_only=True)
class FinishRow:
    """A finish as it is stored. Nothing of it is, unless the target has `lease.token` and an owner.

    The watermark never goes back.
    """

    lease: Lease
    """The lease."""
    at: int
    """The watermark."""
    gone: bool
    """Whether the target is deleted: it was one event's, and that is done or parked."""
    attempt: int | None
    """The claims since the last progress; None leaves them as they are."""
    failed: int
    """The tries of the next event that failed."""
    ttl: timedelta | None
    """For how long the lease goes on, from now; None ends it."""
    due_after: timedelta | None = None
    """How long it sleeps; None if it does not, or `due` says until when."""
    due: datetime | None = None
    """Until when it sleeps; None if it does not, or `due_after` says how long."""
    error: str | None = None
    """What the last try failed with; None if it did not."""
    position: int | None = None
    """The event that failed; None if none did."""
    blocked: bool = False
    """Whether it is blocked, from now."""
    parked: bool = False
    """Whether the event at `position` is put aside with `error`, after `failed` tries."""
    parked_after: int = 0
    """How many tries of the parked event failed."""


def finish_row(finish: Finish) -> FinishRow:
    """Return what a finish writes.

    Raises:
        TypeError: `then` is none of the ways to go on, or an argument is of another type.
        ValueError: `at` is below the watermark of the lease or above its mark, a postponement has no
            time, or two, or a time is out of its bounds or has no zone.
    """
    check_instance(finish, kind=Finish, name="finishes")
    lease, then, at = finish.lease, finish.then, finish.at
    if not lease.at <= check_count(at, name="at") <= lease.mark:
        raise ValueError(
            f"at must be from {lease.at}, where the lease began, to its mark {lease.mark}, got {at}"
        )
    row = FinishRow(lease=lease, at=at, gone=False, attempt=0, failed=0, ttl=None)
    match then:
        case Done():
            row.gone = lease.reads is TargetKind.EVENT and at >= lease.mark
        case Progress(ttl=ttl):
            row.attempt, row.ttl = 1, check_lease(ttl)
        case Retried():
            row.failed, row.error, row.position = then.failed, then.error, then.position
            row.due_after = _checked(then.after) or None
        case Postponed():
            if (then.after is None) == (then.until is None):
                raise ValueError("a postponement has either after or until")
            check_time(then.until, name="until")
            after = None if then.after is None else _checked(then.after)
            row.failed, row.due_after, row.due = then.failed, after, then.until
        case Blocked():
            row.attempt, row.failed = None, then.failed
            row.error, row.position, row.blocked = then.error, then.position, True
        case Parked():
            row.at = max(at, then.position)
            row.gone = lease.reads is TargetKind.EVENT
            row.error, row.position = then.error, then.position
            row.parked, row.parked_after = True, then.failed
        case _:
            raise TypeError(f"then must be Done, Progress or another way to go on, got {then!r}")
    row.error = None if row.error is None else error_text(row.error)
    return row


def _checked(after: timedelta) -> timedelta:
    return check_duration(after, name="after", most=TEN_YEARS)


def lost_lease(lease: Lease) -> LeaseLostError:
    """Return the error of a finish whose lease is somebody else's by now, or nobody's."""
    return LeaseLostError(
        f"the lease of {lease.group}/{lease.reaction}/{lease.key} with token {lease.token} is lost; "
        "nothing was stored under it"
    )


def events_within(sizes: Sequence[int], *, max_bytes: int) -> int:
    """Return how many events of a window fit, at least one if there are any.

    Args:
        sizes: How long the JSON of each is, in bytes.
        max_bytes: How long all of them may be.
    """
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > max_bytes and count:
            return count
    return len(sizes)
