"""Time as whole microseconds, so that a moment that was agreed on is neither missed nor early."""

from collections.abc import Callable
from datetime import datetime, timedelta

from arvo_time import Clock, ClockTimer

from ._entry import Microseconds


class EngineClock:
    """What an engine reads the time from.

    Args:
        clock: Where the time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> Microseconds:
        """Return the time since some fixed moment; it never decreases."""
        return round(self._clock.monotonic() * 1_000_000)

    def utc_now(self) -> datetime:
        """Return the time of the day."""
        return self._clock.now()

    def until(self, moment: datetime) -> Microseconds:
        """Return when a time of the day is; one that has passed is before `now`."""
        return self.now() + microseconds(moment - self._clock.now())

    def call_at(self, moment: Microseconds, callback: Callable[[], None]) -> ClockTimer:
        """Call `callback` at a moment, if only about then."""
        return self._clock.call_later(timedelta(microseconds=moment - self.now()), callback)


def microseconds(duration: timedelta) -> Microseconds:
    """Return a duration as a whole number."""
    return duration // timedelta(microseconds=1)
