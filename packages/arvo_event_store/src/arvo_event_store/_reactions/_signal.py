"""A signal between the tasks of a worker."""

import asyncio
from datetime import timedelta

from arvo_time import Clock


class Signal:
    """Says that something happened. None is lost: it is counted, and waited for from a count on.

    Args:
        clock: For how long to wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Future[None]] = set()
        self.count: int = 0
        """How often it happened."""

    def notify(self) -> None:
        """Wake all that wait."""
        self.count += 1
        for waiting in self._waiting:
            _wake(waiting)

    async def wait(self, *, seen: int, at_most: timedelta | None = None) -> bool:
        """Wait until it happened after those that were seen.

        Args:
            seen: `count` as it was before the caller looked.
            at_most: How long to wait; None as long as it takes.

        Returns:
            Whether it happened.
        """
        if self.count != seen:
            return True
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        timer = None
        if at_most is not None:
            timer = self._clock.call_later(at_most, lambda: _wake(waiting))
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)
            if timer is not None:
                timer.cancel()
        return self.count != seen


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
