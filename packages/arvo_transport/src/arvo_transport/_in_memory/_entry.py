"""An event in a topic, and the lane that one worker at a time has."""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from arvo_core import ArvoEvent

Microseconds: TypeAlias = int
"""A moment or a time of the engine, exact whatever the clock counts in."""

LaneKey: TypeAlias = str | int
"""What a lane is known by: an ordering key, or the number of the only event in it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """An event that a topic has."""

    number: int
    """Its place among all events of the topic."""
    event: ArvoEvent
    again: str
    stored_at: datetime
    deliveries: int = 0
    failed: int = 0
    due: Microseconds | None = None
    """When it ends to be delayed; None when it is not."""
    handed_out: int | None = None
    """Which of all deliveries of the topic has it in hand; None when none has."""


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """Events that wait for each other: those of one key, or a single one that waits for nothing.

    The inbox that has some of them in hand has the lane until it has none left, or says nothing for
    longer than the engine's patience.
    """

    key: LaneKey
    waiting: deque[Entry] = field(default_factory=deque)
    """In the order in which they were stored."""
    in_hand: dict[int, Entry] = field(default_factory=dict)
    """By number."""
    holder: object | None = None
    """The inbox that has it."""
    held_until: Microseconds = 0
    holds: int = 0
    """How often it was taken, so that an old look at its end is told from a new one."""
    listed_under: int | None = None
    """The number under which it is listed as ready; None when it is not."""

    def put(self, entry: Entry) -> None:
        """Let an event wait in its place."""
        if self.waiting and entry.number < self.waiting[-1].number:
            insort(self.waiting, entry, key=lambda each: each.number)
        else:
            self.waiting.append(entry)
