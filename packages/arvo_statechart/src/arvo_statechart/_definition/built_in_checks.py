"""Whether the built-in actions and guards were given something they can use."""

from collections.abc import Mapping

from arvo_statechart._actions import Assign, BuiltInAction, Emit, Log, Raise
from arvo_statechart._errors import InvalidEventError, MachineDefinitionError
from arvo_statechart._event import type_of
from arvo_statechart._messages import shown

from .checks import check_plain


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
            f"assign expects a function, or a mapping of the keys that change, got {shown(update)}"
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
        type_of(event)  # type: ignore[arg-type]  # which is the question
    except InvalidEventError as error:
        hint = f": write {action}({{'type': {event!r}}})" if isinstance(event, str) else ""
        raise MachineDefinitionError(
            f"{action}: {error}{hint if len(hint) < 100 else ''}"
        ) from None


def check_choice(choose: object) -> None:
    """Refuse what `enqueue_actions` cannot use.

    Raises:
        MachineDefinitionError: If it is not a function.
    """
    if not callable(choose):
        raise MachineDefinitionError(
            "enqueue_actions expects a function that returns the actions, or yields them, "
            f"got {shown(choose)}"
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
                f"state value like {{'open': 'waiting'}}, got {shown(value)}"
            )


def looks_at_params(action: BuiltInAction) -> bool:
    """Return whether a function of an action is called, so that params could make a difference."""
    match action:
        case Assign(update=Mapping() as update):
            return any(map(callable, update.values()))
        case Emit(event=given) | Raise(event=given) | Log(message=given):
            return callable(given)
        case _:
            return True
