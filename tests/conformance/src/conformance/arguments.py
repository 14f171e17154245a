"""Members of a vector's parameter object as keyword arguments of our API."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from arvo_core import EventOptions
from arvo_core.event_id import EventId


def accepted(call: Callable[..., Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that `call` takes; what it fixes itself cannot be said."""
    parameters = inspect.signature(call).parameters
    names = {*parameters}
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        names |= {*EventOptions.__annotations__}
    return {name: value for name, value in members.items() if name in names}


def misses(call: Callable[..., Any], members: Mapping[str, Any]) -> bool:
    """Return whether a required argument is not among the members."""
    return any(
        each.default is each.empty and each.name not in members
        for each in inspect.signature(call).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    )


def event_members(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's members as our API takes them."""
    members = dict(event)
    if "id" in members:
        members["id"] = event_id(members["id"])
    return members


def event_id(wish: object) -> EventId | str | None:
    """Return the requested id as our API takes it; None where the original ignores it."""
    match wish:
        case str():
            return EventId.developer_managed(wish)
        case {"deduplication": "DEVELOPER_MANAGED", "value": str(value)}:
            return EventId.developer_managed(value)
        case {"deduplication": "ARVO_MANAGED", "value": str(value)}:
            return EventId.arvo_managed(value)
        case _:
            return None


def error(description: Mapping[str, Any]) -> Exception:
    """Make an exception of the name given, raised so that it has a traceback."""
    kind = type(description.get("name", "Error"), (Exception,), {})
    try:
        raise kind(description["message"])
    except Exception as raised:
        return raised
