"""Async tests keep the checks of asyncio's debug mode, without its tracebacks; see `conftest.py`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import CoroutineType

import pytest


async def test_a_loop_is_not_called_from_another_thread() -> None:
    loop = asyncio.get_running_loop()
    with (
        ThreadPoolExecutor(max_workers=1) as threads,
        pytest.raises(RuntimeError, match="Non-thread-safe operation"),
    ):
        threads.submit(loop.call_soon, print).result()


async def test_a_coroutine_function_is_no_callback() -> None:
    async def answer() -> None:
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used with call_soon"):
        asyncio.get_running_loop().call_soon(answer)


async def test_a_coroutine_that_nobody_awaits_says_where_it_was_made() -> None:
    async def answer() -> None:
        pass

    coroutine = answer()
    assert isinstance(coroutine, CoroutineType)
    assert coroutine.cr_origin is not None
    assert coroutine.cr_origin[0][0] == __file__
    await coroutine
