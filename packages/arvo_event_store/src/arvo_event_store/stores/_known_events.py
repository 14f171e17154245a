"""What to answer when ids of an append are in the log already."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from arvo_event_store._append import Appended
from arvo_event_store._errors import EventIdReusedError

from ._append_request import AppendRequest


class KnownEvent(NamedTuple):
    """An event of the log whose id is in an append."""

    stream: str
    """Its stream."""
    version: int
    """Its version."""
    position: int
    """Its position."""
    name: str
    """Its name."""
    data: str
    """Its data, as the JSON text that was stored."""


def without_known(
    request: AppendRequest, *, known: Mapping[UUID, KnownEvent]
) -> AppendRequest | Appended:
    """Return what is left to store of a request, or its answer if nothing is.

    Call it in the step that stores, before `AppendRequest.check_head`: an append that is known is no
    error even if its stream is closed or further on.

    Args:
        request: The append.
        known: The events of the log that have one of its ids; others may be in it too.

    Returns:
        A request with at least one event, none of which is known; or what to return to the caller.

    Raises:
        EventIdReusedError: An id is known, and the append is not the same as the first one.
    """
    events = request.events
    if not events:
        return Appended(stream=request.stream, version=None, position=None, count=0)
    if not known:
        return request
    found = [known.get(event.id) for event in events]
    first = next((each for each in found if each is not None), None)
    if first is None:
        return request
    if request.known == "refuse":
        return _first_answer(request, found)
    left = [event for event, each in zip(events, found, strict=True) if each is None]
    skipped = tuple(event.id for event in events if event.id in known)
    if left:
        return replace(request, events=left, skipped=skipped)
    return Appended(
        stream=request.stream,
        version=None,
        position=first.position,
        count=0,
        duplicate=True,
        skipped=skipped,
    )


def _first_answer(request: AppendRequest, found: list[KnownEvent | None]) -> Appended:
    """Return what the first append gave, if this one is the same."""
    before: KnownEvent | None = None
    for event, stored in zip(request.events, found, strict=True):
        reason = None
        if stored is None:
            continue
        if stored.stream != request.stream:
            reason = f"in stream {stored.stream!r}"
        elif stored.name != event.name:
            reason = f"with the name {stored.name!r}"
        elif stored.data != event.data:
            reason = "with other data"
        elif None in found:
            reason = "but not all events of this append are"
        elif before is not None and stored.version != before.version + 1:
            reason = "but not in the place that it has in this append"
        if reason is not None:
            raise EventIdReusedError(request.stream, id=event.id, reason=reason)
        before = stored
    if before is None:
        raise AssertionError("at least one event is known")
    return Appended(
        stream=request.stream,
        version=before.version,
        position=before.position,
        count=len(found),
        duplicate=True,
    )
