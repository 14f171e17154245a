from datetime import timedelta

from arvo_event_handler.memory import LockPolicy, until_granted
from arvo_time.testing import FakeClock

SECOND = timedelta(seconds=1)


class Lock:
    """Held for some time; each try returns the time left."""

    def __init__(self, clock: FakeClock, *, held_for: timedelta) -> None:
        self.tries = 0
        self._clock = clock
        self._free_at = clock.now() + held_for

    async def attempt(self) -> str | timedelta:
        self.tries += 1
        left = self._free_at - self._clock.now()
        return left if left > timedelta(0) else "granted"


async def test_a_free_lock_is_granted_immediately() -> None:
    clock = FakeClock()
    lock = Lock(clock, held_for=timedelta(0))
    assert await until_granted(lock.attempt, policy=LockPolicy(), clock=clock) == "granted"
    assert lock.tries == 1


async def test_a_lock_that_gets_free_is_granted() -> None:
    clock = FakeClock()
    lock = Lock(clock, held_for=SECOND)
    policy = LockPolicy(max_wait=3 * SECOND)
    granted = await clock.run_until_complete(
        until_granted(lock.attempt, policy=policy, clock=clock)
    )
    assert granted == "granted"
    assert lock.tries > 1


async def test_a_lock_that_stays_held_is_given_up_after_the_longest_wait() -> None:
    clock = FakeClock()
    lock = Lock(clock, held_for=60 * SECOND)
    started = clock.monotonic()
    policy = LockPolicy(max_wait=3 * SECOND)
    assert (
        await clock.run_until_complete(until_granted(lock.attempt, policy=policy, clock=clock))
        is None
    )
    assert clock.monotonic() - started == 3


async def test_without_a_wait_there_is_one_try() -> None:
    clock = FakeClock()
    lock = Lock(clock, held_for=SECOND)
    policy = LockPolicy(max_wait=timedelta(0))
    assert await until_granted(lock.attempt, policy=policy, clock=clock) is None
    assert lock.tries == 1


async def test_no_waiter_sleeps_past_the_end_of_the_lease() -> None:
    clock = FakeClock()
    lock = Lock(clock, held_for=0.05 * SECOND)
    policy = LockPolicy(initial_delay=10 * SECOND, max_delay=10 * SECOND, max_wait=30 * SECOND)
    started = clock.monotonic()
    await clock.run_until_complete(until_granted(lock.attempt, policy=policy, clock=clock))
    assert clock.monotonic() - started <= 0.051
