"""A memory that knows when its workflows want to be woken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from arvo_time.settings import check_count, check_duration

from ._memory import ILeasedMachineMemory
from ._next_timer import NextTimer
from ._pending_timers import TIMERS, earliest_timer, read_timers
from ._record_write import Record

LONGEST_HOLD: Final = timedelta(hours=1)
"""How long a claim holds at most, however often the timer was claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMachine:
    """A workflow whose earliest timer is due, claimed by one caller for a while."""

    machine_id: str
    """The workflow's subject."""
    at: datetime
    """When the timer was due, in UTC."""
    key: str
    """The key of the timer in the record."""
    claims: int
    """How often this timer was claimed, this time included."""
    due_by: datetime
    """The memory's time at the claim, in UTC: the timer was due by then."""


@runtime_checkable
class ITimedMachineMemory(ILeasedMachineMemory, Protocol):
    """A leased memory with an index of the workflows that wait for a time.

    Optional for memories: ask `isinstance(memory, ITimedMachineMemory)`. Verify yours with
    `arvo_event_handler.testing.MachineTimerSuite`. The timers themselves are in the record. The index
    has at most one entry for each workflow, its earliest timer, and a commit moves that entry in the
    same atomic write as the record; see `RecordWrite.timer`. `write` indexes what `next_timer` reads
    of the record that it stores. Whatever forgets a workflow (expiry, `cleanup`) removes its entry.

    Due is decided by the memory's own clock, so workers with wrong clocks agree.
    """

    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        """Return workflows whose earliest timer is due, and hide them from other callers for a while.

        The earliest `at` comes first; a timer that was claimed before takes its place among them by the
        end of that hold. Each is returned to one caller. If no commit has moved its entry
        by the end of the hold, it can be claimed again, so a caller that dies loses nothing. A claim
        holds `hold`, and twice as long each time the same timer is claimed again, at most an hour.

        Args:
            limit: How many at most, at least 1.
            hold: How long the first claim hides a timer; above zero.

        Raises:
            TypeError: `limit` is not an int or `hold` not a timedelta.
            ValueError: `limit` or `hold` is out of range.
            MachineMemoryError: The backend could not answer; what was claimed then returns after its
                hold.
        """
        ...

    async def next_due(self) -> datetime | None:
        """Return the earliest time at which `claim_due` may return something, in UTC.

        A time in the past means that something is due already. A timer that is claimed counts from
        the end of its hold.

        Returns:
            None when no timer is pending.

        Raises:
            MachineMemoryError: The backend could not answer.
        """
        ...


def check_claim(*, limit: object, hold: object) -> None:
    """Check the arguments of `claim_due`.

    Raises:
        TypeError: `limit` is not an int or `hold` not a timedelta.
        ValueError: `limit` is below 1, or `hold` is not above zero.
    """
    check_count(limit, name="limit", least=1)
    check_duration(hold, name="hold", above_zero=True)


def claim_hold(hold: timedelta, *, claims: int) -> timedelta:
    """Return how long a claim holds.

    Args:
        hold: How long the first one does.
        claims: How often the timer was claimed, this time included.

    Example:
        >>> claim_hold(timedelta(seconds=30), claims=3)
        datetime.timedelta(seconds=120)
    """
    longest = max(hold, LONGEST_HOLD)
    doubled = hold.total_seconds() * 2.0 ** min(claims - 1, 64)
    return min(longest, timedelta(seconds=min(doubled, longest.total_seconds())))


def next_timer(record: Record) -> NextTimer | None:
    """Return the earliest pending timer that a whole record says; None when it has none.

    Of timers of the same moment it is the one that was set first.

    Raises:
        UnreadableRecordError: The member `timers` is damaged.

    Example:
        >>> record = {"timers": {"remind#1": {"at": "2026-12-01T06:00:00.000+00:00"}}}
        >>> next_timer(record).key
        'remind#1'
    """
    timers = record.get(TIMERS)
    return None if timers is None else earliest_timer(read_timers(timers))


@runtime_checkable
class ITimerSource(Protocol):
    """What says when a timer becomes the earliest of its workflow, so that a broker need not ask.

    Optional for timed memories: one that implements it hears of every timer, as no other process
    writes its workflows. The handlers of workflows implement it too, for the steps that they take.
    """

    def watch_timers(self, watcher: Callable[[datetime], None]) -> Callable[[], None]:
        """Call a function with the time of each such timer, once it is stored.

        Args:
            watcher: The function. It must not raise.

        Returns:
            What ends it.
        """
        ...
