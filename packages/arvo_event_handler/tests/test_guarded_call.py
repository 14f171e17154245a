import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from arvo_event_handler.delivery import guarded_call

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


async def test_an_abandoned_call_is_closed() -> None:
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


class Own:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Generator[Any, Any, str]:
        yield from asyncio.sleep(0).__await__()
        return NAME.get()


async def test_the_call_itself_is_made_in_the_context() -> None:
    def work() -> Awaitable[str]:
        NAME.set("inside")
        return Own()

    assert await guarded_call(copy_context(), work) == "inside"
    assert NAME.get() == "outside"


async def test_without_a_context_it_runs_where_it_is_awaited() -> None:
    async def work(name: str) -> None:
        NAME.set(name)

    def use() -> Coroutine[Any, Any, str]:
        async def main() -> str:
            await guarded_call(None, work, "here")
            return NAME.get()

        return main()

    assert await asyncio.create_task(use()) == "here"


@pytest.mark.parametrize("returned", [None, 7, "text"])
async def test_a_result_that_cannot_be_awaited_is_a_failure(returned: Any) -> None:
    with pytest.raises(TypeError, match="await"):
        await guarded_call(None, lambda: returned)


async def test_an_object_that_cannot_be_called_is_a_failure() -> None:
    wrong: Any = 7
    with pytest.raises(TypeError, match="not callable"):
        await guarded_call(None, wrong)


@pytest.mark.parametrize("context", [None, copy_context()], ids=["here", "context"])
async def test_a_generator_exit_of_its_own_is_a_failure(context: Context | None) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise GeneratorExit

    with pytest.raises(RuntimeError, match="raised GeneratorExit"):
        await guarded_call(context, work)


async def test_a_stop_iteration_of_a_plain_function_is_a_failure() -> None:
    def work() -> Any:
        raise StopIteration("result")

    with pytest.raises(RuntimeError, match="StopIteration"):
        await guarded_call(None, work)


def test_an_abandoned_call_that_refuses_to_close_raises() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    steps = guarded_call(None, work)
    steps.send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        steps.close()
