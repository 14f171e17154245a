import asyncio
from collections.abc import Awaitable, Callable

import pytest

from arvo_time.cancellation import timeout


async def forever() -> None:
    await asyncio.Event().wait()


async def cleaning_up(clean_up: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Return a task that was cancelled, and cleans up now."""

    async def work() -> None:
        try:
            await forever()
        finally:
            await clean_up()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    return task


async def test_what_takes_longer_ends_with_a_timeout_error() -> None:
    with pytest.raises(TimeoutError):
        async with timeout(0):
            await forever()


async def test_what_ends_in_time_is_left_alone() -> None:
    async with timeout(60):
        await asyncio.sleep(0)
    async with timeout(None):
        await asyncio.sleep(0)


async def test_a_clean_up_after_a_cancellation_ends_with_a_timeout_error() -> None:
    ended: list[str] = []

    async def clean_up() -> None:
        try:
            async with timeout(0):
                await forever()
        except TimeoutError:
            ended.append("in time")

    with pytest.raises(asyncio.CancelledError):
        await (await cleaning_up(clean_up))
    assert ended == ["in time"]


async def test_a_further_cancellation_is_told_from_the_end_of_the_time() -> None:
    async def clean_up() -> None:
        async with timeout(60):
            await forever()

    task = await cleaning_up(clean_up)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_time_can_be_changed() -> None:
    async def work() -> None:
        async with timeout(None) as block:
            block.reschedule(asyncio.get_running_loop().time())
            await forever()

    with pytest.raises(TimeoutError):
        await work()
