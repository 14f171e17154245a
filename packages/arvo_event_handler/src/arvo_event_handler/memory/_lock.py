"""How long a workflow's lock is held, and how to wait for it while another holder has it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import count
from random import Random
from typing import TypeVar

from arvo_time import SYSTEM_CLOCK, SYSTEM_RANDOM, Backoff, Clock
from arvo_time.settings import TEN_YEARS, check_duration

GrantedT = TypeVar("GrantedT")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPolicy:
    """How long to hold a workflow's lock, and how long and how often to try for it.

    Raises:
        TypeError: A value is not a timedelta.
        ValueError: A value is negative or longer than ten years, `ttl` is zero, or `max_hold` is
            below `ttl`.
    """

    ttl: timedelta = timedelta(seconds=30)
    """The lock frees itself after this, even if its holder died. A running holder renews it."""
    max_wait: timedelta = timedelta(seconds=2)
    """How long `lock` and `acquire` wait for another holder before giving up. Zero: one try."""
    initial_delay: timedelta = timedelta(milliseconds=5)
    """The first pause between two tries, before jitter, where a backend cannot notify."""
    max_delay: timedelta = timedelta(milliseconds=250)
    """The longest pause between two tries, before jitter."""
    max_hold: timedelta = timedelta(minutes=10)
    """How long a holder keeps renewing. After that the lock frees itself within `ttl`."""

    def __post_init__(self) -> None:
        for item in fields(self):
            check_duration(
                getattr(self, item.name),
                name=item.name,
                above_zero=item.name == "ttl",
                most=TEN_YEARS,
            )
        if self.max_hold < self.ttl:
            raise ValueError(f"max_hold ({self.max_hold}) must be at least ttl ({self.ttl})")

    @property
    def backoff(self) -> Backoff:
        """The pauses between two tries."""
        return Backoff(initial=self.initial_delay, maximum=max(self.initial_delay, self.max_delay))


async def until_granted(
    attempt: Callable[[], Awaitable[GrantedT | timedelta]],
    *,
    policy: LockPolicy,
    clock: Clock = SYSTEM_CLOCK,
    random: Random = SYSTEM_RANDOM,
) -> GrantedT | None:
    """Try to get a lock until it is granted or `policy.max_wait` is over.

    For machine memories whose backend cannot notify when a lock is free again.

    Args:
        attempt: Tries once. It returns what was granted, or how long the current holder's lease
            still runs, as far as the backend knows.
        policy: How long to wait in all, and how often to try.
        clock: For the waiting.
        random: For the jitter.

    Returns:
        What was granted; None when another holder had the lock all the time.
    """
    started = clock.monotonic()
    for tried in count():
        outcome = await attempt()
        if not isinstance(outcome, timedelta):
            return outcome
        left = policy.max_wait - timedelta(seconds=clock.monotonic() - started)
        if left <= timedelta(0):
            break
        delay = policy.backoff.delay(tried, random=random)
        await clock.sleep(min(delay, outcome, left))
    return None
