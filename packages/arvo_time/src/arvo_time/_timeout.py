"""A block that ends in time, also where a cancelled task cleans up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def timeout(delay: float | None) -> AsyncIterator[asyncio.Timeout]:
    """As `asyncio.timeout`, on every Python that Arvo allows.

    Before Python 3.11.3, `asyncio.timeout` raised `CancelledError` when the time was over and the task had
    been cancelled before the block, as it has where it cleans up.

    Args:
        delay: In seconds; None for any time.

    Raises:
        TimeoutError: The time is over.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    block = asyncio.timeout(delay)
    try:
        async with block:
            yield block
    except asyncio.CancelledError as error:
        if block.expired() and task is not None and task.cancelling() <= before:
            raise TimeoutError from error
        raise
