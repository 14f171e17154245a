"""Lets work end although the task that waits for it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Keeps what still runs from being collected after its task has gone.
_running: set[asyncio.Task[Any]] = set()


def kept(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run `work` in a task that lives to its end, whether or not somebody waits for it."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`, which goes on to its end when the awaiting task is cancelled, even again."""
    await asyncio.shield(kept(work))
