"""How long to wait before trying again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from random import Random
from typing import Final

from ._settings import check_duration, check_flag, check_number

SYSTEM_RANDOM: Final = Random()  # noqa: S311 - it spreads load, it guards nothing
"""The default source of randomness for delays. A seeded one makes a run repeatable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that grow from try to try up to a maximum, spread at random.

    Raises:
        TypeError: A delay is not a timedelta, `factor` not a number, or `jitter` not a bool.
        ValueError: A delay is negative, `maximum` is below `initial`, or `factor` is below 1 or not
            finite.

    Example:
        >>> backoff = Backoff(
        ...     initial=timedelta(seconds=1), maximum=timedelta(seconds=3), jitter=False
        ... )
        >>> [backoff.delay(tried).total_seconds() for tried in range(4)]
        [1.0, 2.0, 3.0, 3.0]
    """

    initial: timedelta
    """The delay after the first try, before jitter."""
    maximum: timedelta
    """The longest delay, before jitter."""
    factor: float = 2.0
    """The ratio of each delay to the one before it."""
    jitter: bool = True
    """Whether each delay is drawn evenly between zero and its full length, so that callers that
    failed together do not retry together."""

    def __post_init__(self) -> None:
        check_duration(self.initial, name="initial")
        check_duration(self.maximum, name="maximum")
        if self.maximum < self.initial:
            raise ValueError(f"maximum ({self.maximum}) must be at least initial ({self.initial})")
        check_number(self.factor, name="factor", least=1)
        check_flag(self.jitter, name="jitter")

    def delay(self, tried: int, *, random: Random = SYSTEM_RANDOM) -> timedelta:
        """Return how long to wait after `tried` earlier waits; 0 for the first wait."""
        try:
            longest = min(self.maximum, self.initial * self.factor**tried)
        except OverflowError:
            longest = self.maximum
        return longest * random.random() if self.jitter else longest

    def delays(self, *, random: Random = SYSTEM_RANDOM) -> Iterator[timedelta]:
        """Yield one delay after the other, without end."""
        return (self.delay(tried, random=random) for tried in count())
