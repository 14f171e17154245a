import asyncio
import logging
from typing import Any

import pytest

from arvo_time.cancellation import shielded, take_or_give_back


async def cancel(task: asyncio.Task[Any]) -> None:
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_shielded_work_ends_even_if_its_waiter_is_cancelled() -> None:
    go, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        ended.set()

    await cancel(asyncio.create_task(shielded(work())))
    assert not ended.is_set()
    go.set()
    await ended.wait()


class Lock:
    """Is taken once `granted` is set; `back` lists what was given back."""

    def __init__(self) -> None:
        self.granted = asyncio.Event()
        self.given_back = asyncio.Event()
        self.back: list[str] = []

    async def take(self) -> str:
        await self.granted.wait()
        return "lease"

    async def give_back(self, taken: str) -> None:
        self.back.append(taken)
        self.given_back.set()


async def test_what_is_taken_is_returned() -> None:
    lock = Lock()
    lock.granted.set()
    assert await take_or_give_back(lock.take(), give_back=lock.give_back) == "lease"
    assert lock.back == []


async def test_what_a_cancelled_task_takes_is_given_back() -> None:
    lock = Lock()
    await cancel(asyncio.create_task(take_or_give_back(lock.take(), give_back=lock.give_back)))
    lock.granted.set()
    await lock.given_back.wait()
    assert lock.back == ["lease"]


async def test_what_cannot_be_given_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    lock, tried = Lock(), asyncio.Event()

    async def refuse(taken: str) -> None:
        tried.set()
        raise OSError("no connection")

    with caplog.at_level(logging.WARNING, logger="arvo_time"):
        await cancel(asyncio.create_task(take_or_give_back(lock.take(), give_back=refuse)))
        lock.granted.set()
        await tried.wait()
    [record] = caplog.records
    assert record.name == "arvo_time"
    assert record.getMessage() == "could not give back what a cancelled task had taken"
