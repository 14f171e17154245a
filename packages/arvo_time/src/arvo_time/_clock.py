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
        import asyncio

        return asyncio.timeout(delay.total_seconds())

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        import asyncio

        return asyncio.get_running_loop().call_later(delay.total_seconds(), callback)


SYSTEM_CLOCK: Final[Clock] = SystemClock()
"""The default clock everywhere."""
