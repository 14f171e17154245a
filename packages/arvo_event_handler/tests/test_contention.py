"""How long an event waits for a workflow that is handling other events."""

from datetime import timedelta
from random import Random

import pytest

from arvo_event_handler import TransactionViolation, TransactionViolationCause
from arvo_event_handler.delivery import Contention
from arvo_time.testing import FakeClock

TIMEOUT = timedelta(seconds=10)


def lost(cause: TransactionViolationCause) -> TransactionViolation:
    return TransactionViolation("another event was faster", cause=cause, subject="order-7")


HELD = lost(TransactionViolationCause.LOCK_UNACQUIRED)
MOVED = lost(TransactionViolationCause.VERSION_MOVED)


class Tries:
    """The tries of one event, with a clock that stands still between them."""

    def __init__(self, timeout: timedelta = TIMEOUT) -> None:
        self.clock = FakeClock()
        self.contention = Contention(timeout=timeout, clock=self.clock, random=Random(1))

    def after(self, violation: TransactionViolation, seconds: float = 0) -> timedelta | None:
        self.clock.advance(timedelta(seconds=seconds))
        return self.contention.pause_after(violation)


def test_pauses_grow_to_a_quarter_of_a_second() -> None:
    tries = Tries()
    pauses = [tries.after(HELD) for _ in range(50)]
    assert all(pause is not None for pause in pauses)
    known = [pause for pause in pauses if pause is not None]
    assert known[0] <= timedelta(milliseconds=2)
    assert timedelta(milliseconds=200) < max(known) <= timedelta(milliseconds=250)


@pytest.mark.parametrize(
    "violation", [HELD, lost(TransactionViolationCause.LEASE_LOST)], ids=["held", "lost"]
)
def test_a_workflow_that_does_not_move_ends_the_wait(violation: TransactionViolation) -> None:
    tries = Tries()
    assert tries.after(violation, 9) is not None
    assert tries.after(violation, 1) is None


def test_a_workflow_that_moves_restarts_the_wait() -> None:
    tries = Tries()
    for _ in range(6):
        assert tries.after(HELD, 20) is None
        assert tries.after(MOVED) is not None
    assert tries.after(HELD, 9) is not None
    assert tries.after(HELD, 1) is None


def test_a_memory_that_always_reports_moves_ends_the_wait() -> None:
    tries = Tries()
    assert all(tries.after(MOVED, 20) is not None for _ in range(100))
    assert tries.after(MOVED, 9) is not None
    assert tries.after(MOVED, 1) is None


def test_without_a_timeout_there_is_no_second_try() -> None:
    assert Tries(timedelta(0)).after(HELD) is None
    assert Tries(timedelta(0)).after(MOVED) is None
