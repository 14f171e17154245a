"""Events of machines."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from ._errors import InvalidEventError

Event: TypeAlias = Mapping[str, Any]
"""A mapping with a string `type`, and any further keys."""

INIT = "xstate.init"
STOP = "xstate.stop"
ACTOR_ERROR = "xstate.error.actor"


def type_of(event: Event) -> str:
    """Return the type of an event.

    Raises:
        InvalidEventError: If it is not a mapping with a string `type`.
    """
    try:
        event_type = event["type"]
    except (KeyError, TypeError, IndexError):
        event_type = None
    if isinstance(event_type, str):
        return event_type
    raise InvalidEventError(
        "an event must be a mapping with a string 'type', like {'type': 'PAY'}; got "
        f"{type(event).__name__} without one"
    )


def init_event(start_input: object) -> Event:
    """Return the event of the step that starts a machine."""
    return {"type": INIT, "input": start_input}


def done_event_type(state_id: str) -> str:
    """Return the type of the event that reports the end of a state."""
    return f"xstate.done.state.{state_id}"


def after_event_type(delay: str, state_id: str) -> str:
    """Return the type of the event that reports that a state has waited for a delay."""
    return f"xstate.after.{delay}.{state_id}"
