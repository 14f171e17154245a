"""Lets work end even if the task that waits for it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ._bounded_logger import bounded_logger

_logger = bounded_logger("arvo_time")

T = TypeVar("T")

# Keeps tasks that still run from being garbage-collected when nothing else refers to them.
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run `work` in a task that lives to its end, even if nothing waits for it."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`, which goes on to its end when the awaiting task is cancelled, even again."""
    await asyncio.shield(spawn(work))


async def take_or_give_back(
    taking: Coroutine[Any, Any, T], *, give_back: Callable[[T], Awaitable[object]]
) -> T:
    """Take something, such as a lock; a caller that is cancelled meanwhile does not keep it.

    What was taken is known only when `taking` has ended, so it goes on in a task of its own.

    Args:
        taking: Takes it.
        give_back: Called with what `taking` returned if the caller was cancelled meanwhile.

    Returns:
        What `taking` returned.
    """
    task = spawn(taking)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        spawn(_give_back(task, give_back))
        raise


async def _give_back(taken: asyncio.Task[T], give_back: Callable[[T], Awaitable[object]]) -> None:
    try:
        await give_back(await taken)
    except Exception:
        _logger.warning("could not give back what a cancelled task had taken", exc_info=True)
