"""Counts the events of a broker, and lets others wait for a place."""

import asyncio
from collections import deque
from collections.abc import Callable

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import handled_by

from ._errors import self_wait


class Admission:
    """Counts events that wait and events that are not done, and bounds what comes from outside.

    Args:
        limit: How many events may wait before those from outside wait for a place; None: any
            number.
    """

    __slots__ = ("_idle", "_waiters", "limit", "open", "waiting")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.open = 0
        """Events taken and not done yet."""
        self.waiting = 0
        """Events that wait for a handler or for their next try, and places given away."""
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._idle: list[asyncio.Future[None]] = []

    # Asked for every event, and as a property it would take four times as long.
    def is_full(self) -> bool:
        """Return whether an event from outside must wait, as it must whenever others wait."""
        return self.limit is not None and self.waiting >= self.limit

    async def admit(
        self, event: ArvoEvent, take: Callable[[], None], *, check_open: Callable[[], None]
    ) -> None:
        """Take an event from outside once there is a place for it, first come, first served.

        Args:
            event: The event.
            take: Takes it.
            check_open: Raises once nothing more is taken, which may be while this waits.

        Raises:
            ConfigViolation: A handler of the broker awaits it, and there is no place.
        """
        if not self.is_full():
            take()
            return
        if handled_by(self):
            raise self_wait(event)
        await self.acquire()
        try:
            check_open()
            take()
        finally:
            self.release()  # the event is counted by itself now

    async def acquire(self) -> None:
        """Wait, first come, first served, for a place; it is counted as waiting already."""
        place = asyncio.get_running_loop().create_future()
        self._waiters.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                if place in self._waiters:
                    self._waiters.remove(place)
            elif place.exception() is None:
                self.release()  # given just now
            raise

    def enter(self) -> None:
        """One more event is taken, and waits."""
        self.open += 1
        self.waiting += 1

    def release(self) -> None:
        """One event no longer waits: its place goes to the next from outside."""
        self.waiting -= 1
        if self._waiters:
            self._admit()

    def done(self) -> None:
        """One event is done."""
        self.open -= 1
        if not self.open and self._idle:
            for waiter in self._idle:
                if not waiter.done():
                    waiter.set_result(None)

    async def idle(self) -> None:
        """Wait until every event is done."""
        while self.open:
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            try:
                await waiter
            finally:
                self._idle.remove(waiter)

    def close(self, error: Exception) -> None:
        """Refuse those that wait for a place."""
        while self._waiters:
            place = self._waiters.popleft()
            if not place.done():
                place.set_exception(error)

    def _admit(self) -> None:
        while self._waiters and (self.limit is None or self.waiting < self.limit):
            place = self._waiters.popleft()
            if not place.done():
                self.waiting += 1
                place.set_result(None)
