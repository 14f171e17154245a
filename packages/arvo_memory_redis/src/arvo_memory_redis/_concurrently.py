"""Several calls to the server at once."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

AT_ONCE: Final = 32
"""How many calls to make at once; a pool of redis-py refuses more than it has connections."""


async def all_of(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await several calls; all of them end before an error is raised, so none goes on behind it."""
    answers: list[T] = []
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        answers.append(answer)
    return answers
