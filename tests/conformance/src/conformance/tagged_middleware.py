"""Middleware that a vector describes by tags, each of which leaves its mark on an event."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Bulk, InputMiddleware, Middleware, OutputMiddleware


def middleware(description: Mapping[str, Any], *, owner: str, log: list[str]) -> Middleware:
    """Make the middleware of one handler, or of all that have none.

    Args:
        description: The vector's `middleware`. A tag is appended to the data's `mw`; "void"
            returns nothing, "throw" raises.
        owner: The name of the middleware in the log.
        log: Gets a line for each call.
    """
    return Middleware(
        input=_input(description.get("input"), owner, log),
        output=_output(description.get("output"), owner, log),
    )


def _input(side: Any, owner: str, log: list[str]) -> list[InputMiddleware] | None:
    def enter(event: ArvoEvent, *, position: int, tag: str) -> ArvoEvent | None:
        log.append(f"mw-in {owner} {position} {event.id}")
        return _tagged(event, tag)

    if side is None:
        return None
    return [partial(enter, position=position, tag=tag) for position, tag in enumerate(_tags(side))]


def _output(side: Any, owner: str, log: list[str]) -> list[OutputMiddleware] | Bulk | None:
    def leave(event: ArvoEvent, cause: ArvoEvent, *, position: int, tag: str) -> ArvoEvent | None:
        log.append(f"mw-out {owner} {position} in={cause.id} out={event.id}")
        return _tagged(event, tag)

    def leave_together(events: list[ArvoEvent], cause: ArvoEvent) -> list[ArvoEvent] | None:
        log.append(f"mw-out-bulk {owner} in={cause.id} n={len(events)}")
        tagged = [_tagged(event, side["bulk"]) for event in events]
        return None if side["bulk"] == "void" else [event for event in tagged if event]

    if side is None:
        return None
    if isinstance(side, Mapping):
        return Bulk(leave_together)
    return [partial(leave, position=position, tag=tag) for position, tag in enumerate(_tags(side))]


def _tags(side: str | list[str]) -> list[str]:
    return [side] if isinstance(side, str) else side


def _tagged(event: ArvoEvent, tag: str) -> ArvoEvent | None:
    if tag == "void":
        return None
    if tag == "throw":
        raise RuntimeError("mw boom")
    members = event.to_dict()
    marks = [*members["data"].get("mw", ()), tag]
    return ArvoEvent.create(**{**members, "data": {**members["data"], "mw": marks}})
