"""Runs a coroutine in a context of its own without a task of its own."""

import asyncio
from collections.abc import Awaitable, Generator
from contextvars import Context
from typing import Any, Final, Generic, TypeVar

from typing_extensions import override

T = TypeVar("T")

_PASS_THROUGH: Final = (Exception, GeneratorExit, KeyboardInterrupt, SystemExit)


class InContext(Awaitable[T], Generic[T]):
    """Awaits `work` so that its context variables are those of `context`.

    A task per event would do the same for several microseconds more. The current task stays the
    awaiting one, so timeouts and cancellation work as if `work` was awaited plainly.

    Args:
        context: Where `work` runs; nothing else may run in it at the same time.
        work: What to run.

    Raises:
        RuntimeError: `work` was cancelled though nobody cancels the current task: it awaited
            something that was. Or it raised what is no `Exception` and does not end the program.
    """

    __slots__ = ("_context", "_work")

    def __init__(self, context: Context, work: Awaitable[T]) -> None:
        self._context = context
        self._work = work

    @override
    def __await__(self) -> Generator[Any, Any, T]:
        run = self._context.run
        steps = self._work.__await__()
        send = steps.send
        step, value = send, None
        try:
            while True:
                yielded = run(step, value)
                try:
                    value = yield yielded
                    step = send
                except GeneratorExit:
                    run(steps.close)
                    raise
                except BaseException as error:
                    step, value = steps.throw, error
        except StopIteration as stop:
            result: T = stop.value
            return result
        except asyncio.CancelledError as cancellation:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError(
                "cancelled from inside: something that was awaited had been cancelled"
            ) from cancellation
        except BaseException as error:
            if isinstance(error, _PASS_THROUGH):
                raise
            told = f"raised {type(error).__name__}, which is no Exception: {error}"
            raise RuntimeError(told) from error
