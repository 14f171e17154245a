"""How long an event waits for a workflow that other events are getting at."""

from datetime import timedelta
from random import Random
from typing import Final

from arvo_event_handler._errors import TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory._lock import LockPolicy
from arvo_time import Backoff, Clock

CONTENTION_TIMEOUT: Final = LockPolicy().max_hold + LockPolicy().ttl
"""How long an event waits for a workflow that another holder has, before it counts as failed.

A holder renews its lease for up to `max_hold`, and it lives on for up to `ttl`, even after its
worker was killed. So this is the longest that others can be kept from asking at all.
"""
_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=2), maximum=timedelta(milliseconds=250))
# Each move is another event's commit, so there are few of them. A memory that is broken, though,
# may say so indefinitely.
_MAX_MOVES: Final = 100


class Contention:
    """The tries of one event that failed because another event was faster.

    They cost nothing of the retry budget. Patience ends when the timeout is over. An event that
    lost to another one's commit starts to wait again, 100 times at most: the workflow has moved.
    One that did not get the lease cannot tell a step that renews it from one that hangs, so the
    timeout must be longer than a lease can be held.

    Args:
        timeout: How long to wait for a workflow that does not move.
        clock: For the timeout.
        random: For the jitter of the pauses.
    """

    __slots__ = ("_clock", "_moves", "_random", "_since", "_timeout", "_tries")

    def __init__(self, *, timeout: timedelta, clock: Clock, random: Random) -> None:
        self._timeout = timeout.total_seconds()
        self._clock = clock
        self._random = random
        self._since = clock.monotonic()
        self._tries = 0
        self._moves = 0

    def pause_after(self, violation: TransactionViolation) -> timedelta | None:
        """Return how long to wait before the next try; None when patience has ended.

        Args:
            violation: Why the last try failed; its cause `is_contention`.
        """
        now = self._clock.monotonic()
        moved = violation.cause is TransactionViolationCause.VERSION_MOVED
        if moved and self._moves < _MAX_MOVES:
            self._moves += 1
            self._since = now
        if now - self._since >= self._timeout:
            return None
        pause = _BACKOFF.delay(self._tries, random=self._random)
        self._tries += 1
        return pause
