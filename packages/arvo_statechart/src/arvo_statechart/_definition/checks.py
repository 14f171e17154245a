"""Checks of functions, and of the arguments of built-in actions and guards."""

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Final

from arvo_statechart._actions import Assign, BuiltInAction, Cancel, Emit, Log, Raise
from arvo_statechart._errors import InvalidEventError, MachineDefinitionError
from arvo_statechart._event import type_of
from arvo_statechart._messages import short_repr

_ASYNC: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def check_plain(role: str, *values: object) -> None:
    """Refuse async functions among the values; anything else is accepted.

    A machine would never await their coroutine, which would count as true if a guard returned it.

    Raises:
        MachineDefinitionError: If a value is an async function.
    """
    for value in values:
        if callable(value) and _is_async(value):
            name = getattr(value, "__name__", type(value).__name__)
            raise MachineDefinitionError(
                f"{role} {name!r} is an async function, but a machine calls only plain functions: "
                "emit an event, do the work outside, and send the machine the outcome"
            )


def _is_async(function: object) -> bool:
    if type(function) is FunctionType and not function.__dict__:
        # Nothing wrapped and nothing marked: checking its code takes a tenth of the time.
        return bool(function.__code__.co_flags & _ASYNC)
    return any(
        inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
        for called in (function, getattr(function, "__call__", None))  # noqa: B004  # the method
    )


def check_update(update: object) -> None:
    """Refuse what `assign` cannot use.

    Raises:
        MachineDefinitionError: If it is not a function, nor a mapping with strings as keys.
    """
    if callable(update):
        check_plain("assign", update)
        return
    if not isinstance(update, Mapping) or not all(isinstance(key, str) for key in update):
        raise MachineDefinitionError(
            "assign expects a function, or a mapping of the keys that change, "
            f"got {short_repr(update)}"
        )
    check_plain("assign", *update.values())


def check_event(action: str, event: object) -> None:
    """Refuse what `emit` or `raise_` cannot use.

    Raises:
        MachineDefinitionError: If it is neither an event nor a function.
    """
    if callable(event):
        check_plain(action, event)
        return
    try:
        type_of(event)  # type: ignore[arg-type]  # which is what this checks
    except InvalidEventError as error:
        hint = f": write {action}({{'type': {event!r}}})" if isinstance(event, str) else ""
        raise MachineDefinitionError(
            f"{action}: {error}{hint if len(hint) < 100 else ''}"
        ) from None


def check_timer_id(id: object) -> None:
    """Refuse what `raise_` cannot use as the id of its timer.

    Raises:
        MachineDefinitionError: If it is neither None nor a string.
    """
    if id is not None and not isinstance(id, str):
        raise MachineDefinitionError(f"raise_ expects a string as id, got {short_repr(id)}")


def check_cancelled(id: object) -> None:
    """Refuse what `cancel` cannot use.

    Raises:
        MachineDefinitionError: If it is neither a string nor a function.
    """
    if not isinstance(id, str) and not callable(id):
        raise MachineDefinitionError(
            f"cancel expects the id of a timer, or a function that returns it, got {short_repr(id)}"
        )
    check_plain("cancel", id)


def check_choice(choose: object) -> None:
    """Refuse what `enqueue_actions` cannot use.

    Raises:
        MachineDefinitionError: If it is not a function.
    """
    if not callable(choose):
        raise MachineDefinitionError(
            "enqueue_actions expects a function that returns the actions, or yields them, "
            f"got {short_repr(choose)}"
        )
    check_plain("enqueue_actions", choose)


def check_state_value(value: object) -> None:
    """Refuse what `state_in` cannot use.

    Raises:
        MachineDefinitionError: If it is not a string, nor a mapping of such values.
    """
    waiting = [value]
    while waiting:
        asked = waiting.pop()
        if isinstance(asked, Mapping):
            waiting += asked.values()
        elif not isinstance(asked, str):
            raise MachineDefinitionError(
                "state_in expects an id like '#open', a path like 'open.waiting' or a part of the "
                f"state value like {{'open': 'waiting'}}, got {short_repr(value)}"
            )


def looks_at_params(action: BuiltInAction) -> bool:
    """Return whether an action calls a function, so that params could make a difference."""
    match action:
        case Assign(update=Mapping() as update):
            return any(map(callable, update.values()))
        case Raise(event=given, delay=delay):
            return callable(given) or callable(delay)
        case Emit(event=given) | Log(message=given) | Cancel(id=given):
            return callable(given)
        case _:
            return True
