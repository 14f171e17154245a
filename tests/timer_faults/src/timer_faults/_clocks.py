"""Clocks of workers: impatient ones, and wrong ones."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from typing_extensions import override

from arvo_time import ClockTimer, SystemClock

_HASTE = 20


class HastyClock(SystemClock):
    """Shows the time as it is, and waits a twentieth of what it is asked for.

    So pumps look at their memories so much more often, and tries follow each other so much sooner.
    """

    @override
    async def sleep(self, delay: timedelta) -> None:
        await super().sleep(delay / _HASTE)

    @override
    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        return super().timeout(delay / _HASTE)

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        return super().call_later(delay / _HASTE, callback)


class SkewedClock(HastyClock):
    """Shows another time than it is.

    Args:
        skew: How far it is ahead.
    """

    def __init__(self, skew: timedelta) -> None:
        self._skew = skew

    @override
    def now(self) -> datetime:
        return super().now() + self._skew
