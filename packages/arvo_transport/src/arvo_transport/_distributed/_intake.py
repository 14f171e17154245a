"""Receives the events of a topic, as many as there is room for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from arvo_transport._errors import TransportClosedError, TransportError
from arvo_transport._settlement import Received

from ._health import Health


class Intake:
    """One call of `receive` after the other, with pauses in which none is under way.

    Args:
        topic: What the topic is called.
        receive: Receives up to a number of events; none once there will be no more.
        ping: Asks the engine for a sign of life.
        room: How many more events there is room for.
        put: Takes an event.
        health: Knows of failures.
    """

    def __init__(
        self,
        topic: str,
        *,
        receive: Callable[[int], Awaitable[Sequence[Received]]],
        ping: Callable[[], Awaitable[None]],
        room: Callable[[], int],
        put: Callable[[Received], None],
        health: Health,
    ) -> None:
        self._what = f"receive from {topic}"
        self._receive = receive
        self._ping = ping
        self._room = room
        self._put = put
        self._health = health
        self._pauses = 0
        self._receiving: asyncio.Task[Sequence[Received]] | None = None
        self._waker: asyncio.Future[None] | None = None
        self._quiet: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Look again whether there is room."""
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def close(self) -> None:
        """Receive nothing more, for good."""
        self._pause()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Receive nothing meanwhile; what was received before is in the topic."""
        self._pause()
        try:
            while self._receiving is not None:
                if self._quiet is None:
                    self._quiet = asyncio.get_running_loop().create_future()
                await asyncio.shield(self._quiet)
            yield
        finally:
            self._pauses -= 1
            self.wake()

    def _pause(self) -> None:
        self._pauses += 1
        if self._receiving is not None:
            self._receiving.cancel()

    async def run(self) -> None:
        """Receive, as long as it lasts.

        Raises:
            TransportClosedError: The transport was closed.
        """
        failures, reached = 0, True
        while True:
            room = 0 if self._pauses else self._room()
            if room <= 0:
                await self._wait_for_room()
                continue
            try:
                if not reached:
                    # There may be no event for long, which must not look like a failure.
                    await self._ping()
                    self._health.works(self._what)
                    reached = True
                    continue
                received = await self._receive_once(room)
            except TransportClosedError:
                raise
            except TransportError as error:
                self._health.failed(self._what, error)
                await self._health.rest(failures)
                failures += 1
                reached = False
                continue
            if received is None:
                continue
            if not received:
                # Not by `close`, after which nothing is received: the inbox is gone.
                raise TransportClosedError
            failures = 0

    async def _receive_once(self, room: int) -> Sequence[Received] | None:
        """Receive once and put it all; None when that was cut short by a pause."""
        task = self._receiving = asyncio.ensure_future(self._receive(room))
        try:
            await asyncio.wait([task])
            if task.cancelled():
                return None
            received = task.result()
            for each in received:
                self._put(each)
            return received
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            elif not task.cancelled():
                task.exception()  # or asyncio would say that nobody has asked for it
            self._receiving = None
            if self._quiet is not None:
                self._quiet.set_result(None)
                self._quiet = None

    async def _wait_for_room(self) -> None:
        self._waker = asyncio.get_running_loop().create_future()
        try:
            await self._waker
        finally:
            self._waker = None
