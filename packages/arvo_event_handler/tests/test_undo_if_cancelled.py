import asyncio
import logging

import pytest

from arvo_event_handler import undo_if_cancelled


class Lock:
    """Taken at some time after it was asked for; given back in the order of the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.given_back = asyncio.Event()

    async def take(self) -> str:
        self.calls.append("take")
        return await asyncio.shield(self.answer)

    async def give_back(self) -> None:
        self.calls.append("give back")
        self.given_back.set()


async def test_what_is_awaited_to_the_end_is_kept() -> None:
    lock = Lock()
    lock.answer.set_result("granted")
    assert await undo_if_cancelled(lock.take(), undo=lock.give_back) == "granted"
    assert lock.calls == ["take"]


async def test_what_a_cancelled_task_took_is_undone_although_no_answer_came() -> None:
    lock = Lock()
    taking = asyncio.ensure_future(undo_if_cancelled(lock.take(), undo=lock.give_back))
    await asyncio.sleep(0)
    taking.cancel()
    await lock.given_back.wait()
    assert taking.cancelled()
    assert lock.calls == ["take", "give back"]


async def test_a_failure_is_the_callers_and_undoes_nothing() -> None:
    lock = Lock()
    lock.answer.set_exception(ConnectionError("gone"))
    with pytest.raises(ConnectionError, match="gone"):
        await undo_if_cancelled(lock.take(), undo=lock.give_back)
    assert lock.calls == ["take"]


async def test_what_cannot_be_undone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    lock, tried = Lock(), asyncio.Event()

    async def fail() -> None:
        tried.set()
        raise ConnectionError("gone")

    taking = asyncio.ensure_future(undo_if_cancelled(lock.take(), undo=fail))
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING, "arvo_event_handler"):
        taking.cancel()
        await tried.wait()
        await asyncio.sleep(0)
    assert "could not undo" in caplog.text
