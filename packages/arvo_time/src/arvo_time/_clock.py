"""Time as a parameter, so that no test has to wait.

asyncio is imported only where an event loop runs, so it is loaded already: importing it here would be
a sixth of the time of `import arvo_core`, which does not need it.
"""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from typing_extensions import override

_LOOK: Final = timedelta(minutes=1)
"""How often to look whether the wall clock has moved by itself."""


class ClockTimer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not make the call. Does nothing once it was made."""
        ...


class Clock(Protocol):
    """Where every part of Arvo gets the time from, and by which it waits.

    `SYSTEM_CLOCK` is the real one; `arvo_time.testing.FakeClock` moves only when a test moves it.
    """

    def now(self) -> datetime:
        """Return the wall clock's time as an aware datetime in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed point; they never decrease."""
        ...

    async def sleep(self, delay: timedelta) -> None:
        """Wait for `delay`; not at all when it is zero or less."""
        ...

    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the block after `delay` and raise `TimeoutError` at its end."""
        ...

    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        """Call `callback` on the running event loop after `delay`."""
        ...

    def call_at(self, when: datetime, callback: Callable[[], None]) -> ClockTimer:
        """Call `callback` on the running event loop once `now` says a time.

        The event loop's timers do not follow the wall clock: it is set, and in most systems they stand
        still while the machine sleeps. `SYSTEM_CLOCK` looks at it once a minute, so such a call is late by
        a minute at most.

        Args:
            when: The time, with its zone; one that has passed is due at once.
            callback: What to call.
        """
        return self.call_later(when - self.now(), callback)


class SystemClock(Clock):
    """The machine's own clock and the running event loop's timers."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    def monotonic(self) -> float:
        return time.monotonic()

    @override
    async def sleep(self, delay: timedelta) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, delay.total_seconds()))

    @override
    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        from ._timeout import timeout

        return timeout(delay.total_seconds())

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        import asyncio

        return asyncio.get_running_loop().call_later(delay.total_seconds(), callback)

    @override
    def call_at(self, when: datetime, callback: Callable[[], None]) -> ClockTimer:
        return _Alarm(self, when, callback)


class _Alarm(ClockTimer):
    """A call at a time of the wall clock."""

    def __init__(self, clock: Clock, when: datetime, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._when = when
        self._callback = callback
        self._timer = self._rest()

    @override
    def cancel(self) -> None:
        self._timer.cancel()

    def _rest(self) -> ClockTimer:
        return self._clock.call_later(min(self._when - self._clock.now(), _LOOK), self._wake)

    def _wake(self) -> None:
        if self._clock.now() < self._when:
            self._timer = self._rest()
        else:
            self._callback()


SYSTEM_CLOCK: Final[Clock] = SystemClock()
"""The default clock everywhere."""
