"""What is between a client and the engine, as a network would be."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from arvo_transport._errors import TransportClosedError

T = TypeVar("T")


class Connection:
    """Carries the calls of one client.

    A request is on its way for a turn of the event loop, and so is the reply: a call that is
    cancelled, or whose client is killed, may have been made or not, as over a network.
    """

    def __init__(self) -> None:
        self.closed = False
        self.killed = False
        self._cut: asyncio.Event = asyncio.Event()

    def check(self) -> None:
        """Raise an error when the client was closed or killed."""
        if self.killed:
            raise TransportClosedError("the transport, whose client was killed,")
        if self.closed:
            raise TransportClosedError

    def kill(self) -> None:
        """Let nothing pass any more."""
        self.killed = True
        self._cut.set()

    def close(self) -> None:
        """Refuse new calls, and end those that wait for an event or an answer."""
        self.closed = True
        self._cut.set()

    async def call(self, work: Callable[[], T]) -> T:
        """Let the engine do something, and return what it replies."""
        self.check()
        await self.pass_on()
        result = work()
        await self.pass_on()
        return result

    async def pass_on(self) -> None:
        """Let a request or reply be on its way."""
        await asyncio.sleep(0)
        if self.killed:
            self.check()

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something that takes as long as it takes, or until the client is closed."""
        try:
            self.check()
        except TransportClosedError:
            work.close()
            raise
        task = asyncio.ensure_future(work)
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait({task, cut}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.check()
            return await task
        finally:
            task.cancel()
            cut.cancel()
            await asyncio.gather(task, cut, return_exceptions=True)
