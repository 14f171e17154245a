"""What is done beside for one inbox."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from arvo_time.logs import bounded_logger
from arvo_transport import TransportError

from ._failure import DRIVER_ERRORS

_logger = bounded_logger("arvo_transport_nats")


class Errands:
    """Tasks for which nobody waits, until they are closed.

    One that fails leaves its event to the server, which misses it after a while and hands it out
    again.

    Args:
        topic: Whose events they are about.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something be done."""
        task = asyncio.ensure_future(self._log_failure(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # What is cancelled before it begins would never have been awaited.
        task.add_done_callback(lambda _: work.close())

    async def done(self) -> None:
        """Wait until everything is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """End what is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _log_failure(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (*DRIVER_ERRORS, TransportError):
            _logger.warning("an event of %r was left", self._topic, exc_info=True)
