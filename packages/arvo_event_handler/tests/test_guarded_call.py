import asyncio
from contextvars import ContextVar, copy_context

import pytest

from arvo_event_handler import guarded_call

NAME = ContextVar("NAME", default="outside")


async def test_variables_set_inside_stay_inside() -> None:
    async def work() -> str:
        NAME.set("inside")
        await asyncio.sleep(0)
        return NAME.get()

    assert await guarded_call(copy_context(), work) == "inside"
    assert NAME.get() == "outside"


async def test_an_exception_comes_out() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await guarded_call(copy_context(), work)


async def test_an_exception_can_be_handled_inside() -> None:
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failing.set_exception(KeyError("mine"))

    async def work() -> str:
        try:
            await failing
        except KeyError:
            return NAME.get()
        return "nothing was raised"

    context = copy_context()
    context.run(NAME.set, "inside")
    assert await guarded_call(context, work) == "inside"


async def test_cancellation_goes_in_and_clean_up_runs_in_the_context() -> None:
    seen: list[str] = []

    async def work() -> None:
        NAME.set("inside")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append(NAME.get())

    async def use() -> None:
        await guarded_call(copy_context(), work)

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["inside"]


async def test_a_timeout_inside_works_on_the_task_that_waits() -> None:
    async def work() -> None:
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await guarded_call(copy_context(), work)


async def test_what_is_given_up_half_way_is_closed() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            seen.append("closed")

    steps = guarded_call(copy_context(), work)
    steps.send(None)
    steps.close()
    assert seen == ["closed"]
