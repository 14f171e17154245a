"""What must end before a memory is closed."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class CallsUnderWay:
    """Counts calls and background tasks, as a context manager of each call."""

    def __init__(self) -> None:
        self._calls = 0
        self._tasks: set[asyncio.Task[Any]] = set()  # or they might be collected while they run
        self._none: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        self._calls += 1

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        self._tell()

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that counts as a call from now on, before it has its first turn."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def none(self) -> None:
        """Wait until nothing is under way."""
        while self._calls or self._tasks:
            if self._none is None:
                self._none = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._none)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._tell()

    def _tell(self) -> None:
        if self._none is not None and not self._calls and not self._tasks:
            self._none.set_result(None)
            self._none = None
