"""The functions that users hand in."""

import inspect
from types import FunctionType
from typing import Final

from arvo_statechart._errors import MachineDefinitionError

_ASYNC: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def check_plain(role: str, *values: object) -> None:
    """Refuse async functions among the values; anything else is fine here.

    A machine would never await their coroutine, which passes for true as the answer of a guard.

    Raises:
        MachineDefinitionError: If a value is an async function.
    """
    for value in values:
        if callable(value) and _is_async(value):
            name = getattr(value, "__name__", type(value).__name__)
            raise MachineDefinitionError(
                f"{role} {name!r} is an async function: a machine only calls plain ones. "
                "Emit an event, do the work outside, and send the machine its outcome"
            )


def _is_async(function: object) -> bool:
    if type(function) is FunctionType and not function.__dict__:
        # Nothing wrapped and nothing marked: its code says it all, in a tenth of the time.
        return bool(function.__code__.co_flags & _ASYNC)
    return any(
        inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
        for called in (function, getattr(function, "__call__", None))  # noqa: B004  # the method
    )
