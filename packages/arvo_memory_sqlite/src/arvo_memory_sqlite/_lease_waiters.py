"""Wakes the tasks that wait for a lease when a task of the same memory gives it back."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime, timedelta

from typing_extensions import override

from arvo_time import Clock, ClockTimer


class LeaseWaiters:
    """The tasks that wait for a lease, in order of arrival for each workflow.

    A lease that another process gives back wakes no task: its waiters have to ask again.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Event]] = {}

    @contextmanager
    def waiting(self, machine_id: str) -> Iterator[asyncio.Event]:
        """Queue for a lease for as long as the block lasts.

        Yields:
            An event, set when the lease was given back; clear it before asking for the lease again.
        """
        freed = asyncio.Event()
        line = self._waiting.setdefault(machine_id, deque())
        line.append(freed)
        try:
            yield freed
        finally:
            line.remove(freed)
            if not line:
                del self._waiting[machine_id]
            elif freed.is_set():
                self.wake(machine_id)  # this task was woken and has not taken its turn

    def wake(self, machine_id: str) -> None:
        """Wake the task that has waited longest and was not woken yet."""
        for freed in self._waiting.get(machine_id, ()):
            if not freed.is_set():
                freed.set()
                return


class WokenClock(Clock):
    """A clock whose sleep ends early when an event is set.

    Args:
        clock: Gives the time.
        woken: Ends a sleep when it is set.
    """

    def __init__(self, clock: Clock, woken: asyncio.Event) -> None:
        self._clock = clock
        self._woken = woken

    @override
    def now(self) -> datetime:
        return self._clock.now()

    @override
    def monotonic(self) -> float:
        return self._clock.monotonic()

    @override
    async def sleep(self, delay: timedelta) -> None:
        try:
            async with self._clock.timeout(delay):
                await self._woken.wait()
        except TimeoutError:
            return

    @override
    def timeout(self, delay: timedelta) -> AbstractAsyncContextManager[object]:
        return self._clock.timeout(delay)

    @override
    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> ClockTimer:
        return self._clock.call_later(delay, callback)
