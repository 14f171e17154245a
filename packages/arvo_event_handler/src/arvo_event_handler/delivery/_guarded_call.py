"""Calls user code so that all it can do is return or fail."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextvars import Context
from types import CoroutineType, coroutine
from typing import Any, Final, TypeVar, TypeVarTuple

from arvo_core import ArvoEvent

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PASS_THROUGH: Final = (Exception, KeyboardInterrupt, SystemExit)


@coroutine
def guarded_call(
    context: Context | None, function: Callable[[*Ts], Awaitable[T]], *args: *Ts
) -> Generator[Any, Any, T]:
    """Await a call of user code, in a context of its own without a task of its own.

    A task per event would do the same for several microseconds more. The current task stays the
    awaiting one, so timeouts and cancellation work as if the call was awaited plainly. The call
    itself is made in the context too, so that a function that is not a coroutine has it as well.

    Args:
        context: Where the call runs; nothing else may run in it at the same time. None: where the
            awaiting task runs.
        function: What to call.
        args: What to call it with.

    Returns:
        What the call returned.

    Raises:
        RuntimeError: The call raised something that does not derive from `Exception`, such as
            `GeneratorExit`; or it was cancelled although the current task is not, because it
            awaited something that was.
        KeyboardInterrupt: As raised: it ends the program.
        SystemExit: As raised: it ends the program.
        CancelledError: The current task is being cancelled.
    """
    run = _run_here if context is None else context.run
    closed = False
    try:
        try:
            made = run(function, *args)
        except StopIteration as error:  # else it would look like the end of what was called
            raise RuntimeError("raised StopIteration") from error
        steps = made if isinstance(made, CoroutineType) else _awaited(made)
        send = steps.send
        step, value = send, None
        while True:
            yielded = run(step, value)
            try:
                value = yield yielded
                step = send
            except GeneratorExit:
                closed = True
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
        if closed or isinstance(error, _PASS_THROUGH):
            raise
        message = f"raised {type(error).__name__}, which does not derive from Exception: {error}"
        raise RuntimeError(message) from error


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def _run_here(call: Callable[..., Any], *args: Any) -> Any:
    return call(*args)


def check_events(events: Iterable[object], *, what: str) -> list[ArvoEvent]:
    """Return what user code returned, once it is sure to be nothing but events.

    Raises:
        TypeError: It is not.
    """
    checked: list[ArvoEvent] = []
    for event in events:
        if not isinstance(event, ArvoEvent):
            raise TypeError(f"{what} must return events, got a {type(event).__name__}")
        checked.append(event)
    return checked
