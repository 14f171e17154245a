"""Cancels a call at one of its awaits."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any


class CancelledAt:
    """Awaits a call and cancels it when it waits for the nth time."""

    def __init__(self, call: Awaitable[object], *, wait: int) -> None:
        self._call = call
        self._wait = wait
        self.was_cancelled = False

    def __await__(self) -> Generator[Any, Any, None]:
        """Await the call."""
        steps = self._call.__await__()
        waits = 0
        try:
            waited_for = next(steps)
            while True:
                waits += 1
                if waits == self._wait:
                    task = asyncio.current_task()
                    assert task is not None
                    self.was_cancelled = True
                    task.cancel()
                answer: Any = None
                try:
                    answer = yield waited_for
                except BaseException as error:
                    waited_for = steps.throw(error)
                else:
                    waited_for = steps.send(answer)
        except StopIteration:
            return


async def cancelled(call: Awaitable[object], *, wait: int) -> bool:
    """Run a call in a task that is cancelled at its nth wait; return False if it has fewer."""
    at = CancelledAt(call, wait=wait)

    async def run() -> None:
        await at

    (ended,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    assert ended is None or isinstance(ended, asyncio.CancelledError), ended
    return at.was_cancelled
