"""Lets work end although the task that waits for it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ._bounded_logger import bounded_logger

_logger = bounded_logger("arvo_time")

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


async def take_or_give_back(
    taking: Coroutine[Any, Any, T], *, give_back: Callable[[T], Awaitable[object]]
) -> T:
    """Take something, such as a lock; whoever is cancelled meanwhile keeps nothing.

    Only when the call has ended is it known what was taken, so it goes on in a task of its own.

    Args:
        taking: Takes it.
        give_back: Called with what `taking` returned when nobody waits for it any more.

    Returns:
        What `taking` returned.
    """
    task = kept(taking)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        kept(_give_back(task, give_back))
        raise


async def _give_back(taken: asyncio.Task[T], give_back: Callable[[T], Awaitable[object]]) -> None:
    try:
        await give_back(await taken)
    except Exception:
        _logger.warning("could not give back what a cancelled task had taken", exc_info=True)
