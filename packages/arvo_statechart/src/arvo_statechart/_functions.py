"""The functions that users hand in."""

import inspect

from ._errors import MachineDefinitionError


def check_plain(role: str, *values: object) -> None:
    """Refuse async functions among the values; anything else is fine here.

    A machine would never await their coroutine, which passes for true as the answer of a guard.

    Raises:
        MachineDefinitionError: If a value is an async function.
    """
    for value in values:
        if callable(value) and (_is_async(value) or _is_async(value.__call__)):
            name = getattr(value, "__name__", type(value).__name__)
            raise MachineDefinitionError(
                f"{role} {name!r} is an async function: a machine only calls plain ones. "
                "Emit an event, do the work outside, and send the machine its outcome"
            )


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
