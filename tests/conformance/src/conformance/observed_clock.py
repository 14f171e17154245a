"""A clock that records the delays of the calls that are scheduled on it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from typing_extensions import override

from arvo_time import Clock, ClockTimer


class ObservedClock(Clock):
    """Wraps a clock, and records the delays: a broker schedules a call only to retry.

    Args:
        clock: The clock to wrap.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.delays: list[timedelta] = []
        """The delays passed to `call_later`, in order."""

    @override
    def now(self) -> datetime:
        return self._clock.now()

    @override
    def monotonic(self) -> float:
        return self._clock.monotonic()

    @override
    async def sleep(self, delay: timedelta) -> None:
        await self._clock.sleep(delay)

    @override
    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        return self._clock.timeout(delay)

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        self.delays.append(delay)
        return self._clock.call_later(delay, callback)
