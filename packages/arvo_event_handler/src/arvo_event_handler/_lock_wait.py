"""Waiting for a lock that somebody else holds."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from random import Random
from typing import TypeVar

from arvo_time import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock

from ._memory import LockPolicy

GrantedT = TypeVar("GrantedT")


async def until_granted(
    attempt: Callable[[], Awaitable[GrantedT | timedelta]],
    *,
    policy: LockPolicy,
    clock: Clock = SYSTEM_CLOCK,
    random: Random = SYSTEM_RANDOM,
) -> GrantedT | None:
    """Try to get a lock until it is granted or `policy.max_wait` is over.

    For machine memories whose backend cannot tell when a lock is free again.

    Args:
        attempt: Tries once. It returns what was granted, or how long the present holder's lease
            still runs, as far as the backend knows.
        policy: How long to wait in all, and how often to try.
        clock: For the waiting.
        random: For the jitter.

    Returns:
        What was granted; None when somebody else held the lock all the time.
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
