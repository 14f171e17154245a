"""Telling those who wait that a store changed."""

import asyncio
from datetime import timedelta

from arvo_time import Clock


class Changes:
    """A count of changes, and those who wait for the next one.

    Args:
        clock: By which they wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: set[asyncio.Future[None]] = set()
        self.count: int = 0
        """How many there were; only grows."""

    def tell(self) -> None:
        """Count a change, and wake all who wait."""
        self.count += 1
        self.wake()

    def wake(self) -> None:
        """Wake all who wait, although nothing changed."""
        for waiter in self._waiters:
            _wake(waiter)

    async def wait(self, *, seen: int, at_most: timedelta) -> bool:
        """Wait until the count is above what was seen, and return whether it is.

        Args:
            seen: The count as it was.
            at_most: How long to wait.
        """
        if self.count > seen:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        timer = self._clock.call_later(at_most, lambda: _wake(waiter))
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)
        return self.count > seen


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
