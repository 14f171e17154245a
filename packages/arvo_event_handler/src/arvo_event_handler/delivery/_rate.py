"""How many tries of a handler may begin within a time."""

from dataclasses import KW_ONLY, dataclass
from datetime import timedelta

from arvo_time import Clock
from arvo_time.settings import check_count, check_duration


@dataclass(frozen=True, slots=True)
class Rate:
    """How many tries of a handler may begin within a time, in one process.

    It is a token bucket: after a rest, all `tries` may begin at once. An event that waits for its
    token holds no slot of its handler; each further try of it takes another token.

    Raises:
        TypeError: `tries` is not an int, or `per` not a timedelta.
        ValueError: `tries` is below 1, or `per` not longer than zero.

    Example:
        >>> Rate(100, per=timedelta(seconds=1)).tries
        100
    """

    tries: int
    """How many may begin within `per`, and at once after a rest."""
    _: KW_ONLY
    per: timedelta
    """How long it takes until as many may begin again."""

    def __post_init__(self) -> None:
        check_count(self.tries, name="tries", least=1)
        check_duration(self.per, name="per", above_zero=True)


class TokenBucket:
    """The tokens of a rate: full at first, refilled evenly.

    Args:
        rate: The rate.
        clock: For the time that has passed.
    """

    __slots__ = ("_clock", "_full_at", "_interval", "_size")

    def __init__(self, rate: Rate, *, clock: Clock) -> None:
        self._clock = clock
        self._interval = rate.per.total_seconds() / rate.tries
        self._size = rate.per.total_seconds()
        self._full_at = clock.monotonic()

    def take(self) -> timedelta | None:
        """Take a token; return how long to wait when there is none, and None when there was."""
        now = self._clock.monotonic()
        full_at = max(now, self._full_at) + self._interval
        # Timers are exact to the microsecond.
        late = full_at - now - self._size
        if late > 1e-6:
            return timedelta(microseconds=max(1.0, late * 1e6))
        self._full_at = full_at
        return None
