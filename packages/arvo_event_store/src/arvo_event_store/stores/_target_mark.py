"""The targets that an append wakes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from arvo_event_store._target import PER_EVENT

from ._append_request import AppendRequest


class TargetMark(NamedTuple):
    """A target to insert, or to raise the mark of. One that exists keeps all but its mark."""

    group: str
    """The group of its reaction."""
    reaction: str
    """Its reaction."""
    key: str
    """The stream, or the position as a decimal."""
    lane: str
    """Its lane."""
    stream: str
    """The stream that it reads."""
    once: bool
    """Whether it is for one event."""
    at: int
    """The watermark of a new one: below the first new event."""
    mark: int
    """The position of the last new event."""
    due: datetime | None
    """Until when a new one sleeps; None if it does not."""


def target_marks(request: AppendRequest, *, positions: Sequence[int]) -> list[TargetMark]:
    """Return the targets that stored events wake.

    Args:
        request: What was stored.
        positions: The positions of its events, at least one.

    Returns:
        The targets, sorted by group, reaction and, of one reaction, position. For several appends,
        sort all of them by (group, reaction, key), the order in which every store locks them.
    """
    marks: list[TargetMark] = []
    for wake in request.wakes:
        keys = (
            [(str(position), position, position) for position in positions]
            if wake.to is PER_EVENT
            else [(request.stream, positions[0], positions[-1])]
        )
        marks.extend(
            TargetMark(
                group=wake.group,
                reaction=wake.reaction,
                key=key,
                lane=wake.lane,
                stream=request.stream,
                once=wake.to is PER_EVENT,
                at=first - 1,
                mark=last,
                due=wake.due,
            )
            for key, first, last in keys
        )
    return marks
