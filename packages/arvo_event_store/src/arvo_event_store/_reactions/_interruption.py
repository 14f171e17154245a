"""Cancelling what a task awaits, without cancelling the task."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import TypeVar

T = TypeVar("T")

_PASS_THROUGH = (Exception, KeyboardInterrupt, SystemExit)


class InterruptedWorkError(Exception):
    """What was awaited was cancelled by `Interruption.request`."""


class Interruption:
    """Lets others cancel what one task awaits, but only where it says so.

    So user code is cancelled, and what the task does with the store is not.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancels = 0
        self.requested: bool = False
        """Whether the task is to end."""

    def request(self) -> None:
        """Cancel what is awaited, and what would be awaited later."""
        self.requested = True
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()

    async def within(self, work: Awaitable[T]) -> T:
        """Await something that may be cancelled.

        Raises:
            InterruptedWorkError: It was cancelled by `request`, or not begun after it.
            RuntimeError: It was cancelled from inside, or raised something that does not derive from
                `Exception`; or no task awaits it.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can await this")
        if self.requested:
            if isinstance(work, Coroutine):
                work.close()
            raise InterruptedWorkError
        before = task.cancelling()
        self._task = task
        try:
            return await work
        except asyncio.CancelledError as cancellation:
            if task.cancelling() > before + self._cancels:
                raise
            if self._cancels:
                raise InterruptedWorkError from None
            raise RuntimeError(
                "cancelled from inside: something that was awaited had been cancelled"
            ) from cancellation
        except _PASS_THROUGH:
            raise
        except BaseException as error:
            raise RuntimeError(
                f"raised {type(error).__name__}, which does not derive from Exception: {error}"
            ) from error
        finally:
            self._task = None
            for _ in range(self._cancels):
                task.uncancel()
            self._cancels = 0
