"""Cancels a call at each of its awaits."""

import asyncio
from collections.abc import Coroutine


async def cancelled_after(turns: int, call: Coroutine[object, object, object]) -> None:
    """Start a call and cancel it after this many turns of the event loop."""
    task = asyncio.create_task(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
