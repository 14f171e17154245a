"""Lets clean-up end although the task that waits for it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

# Keeps what still runs from being collected after its task has gone.
_running: set[asyncio.Task[Any]] = set()


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`, which goes on to its end when the awaiting task is cancelled, even again."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    await asyncio.shield(task)
