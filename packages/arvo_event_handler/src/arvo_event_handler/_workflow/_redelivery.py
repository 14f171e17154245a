"""What a workflow remembers of events it has seen and of outputs that may not have arrived.

Transports deliver at least once, and a crash may fall between the commit and the publishing. So a
record says which events were consumed, and keeps outputs until they are answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from pydantic_core import to_json

from arvo_core import ArvoEvent
from arvo_event_handler._stored_event import stored_event

MEMBER = "redelivery"
"""The record's member that holds it."""

SEEN_LIMIT = 1024
"""How many consumed events are remembered; the init event always is."""
OUT_BYTES = 64 * 1024
"""Maximum size of kept outputs as JSON, in bytes; the newest step's are always kept."""
UNANSWERED_AFTER = 32
"""A step's outputs count as arrived this many events after it, or after its last answer."""


@dataclass(slots=True)
class _Step:
    """The outputs of one event that are still unanswered."""

    event: str  # the event's hash
    outputs: list[Any]
    answered: str | None  # the hash of the event that last answered one of the step's outputs


class Redelivery:
    """What one workflow has seen and what it may have to send again.

    Args:
        seen: Hashes of consumed events, oldest first; the first is the init event's.
        steps: Kept outputs, oldest first.
    """

    def __init__(self, seen: list[str], steps: list[_Step]) -> None:
        self._seen = seen
        self._steps = steps

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> "Redelivery":
        """Read it from a record; a record of the TypeScript version is interpreted.

        Raises:
            Exception: The record is damaged.
        """
        if record is None:
            return cls([], [])
        member = record.get(MEMBER)
        if isinstance(member, Mapping):
            return cls(_hashes(member["seen"]), [_kept_step(*step) for step in member["out"]])
        return _of_typescript_record(record)

    def has_seen(self, event: ArvoEvent, *, is_init: bool) -> bool:
        """Return whether the event was consumed before.

        Args:
            event: The event.
            is_init: Whether it is of the workflow's init type.
        """
        if event_hash(event.source, event.id) in self._seen:
            return True
        return is_init and bool(self._seen) and self._seen[0] == event_hash("", event.id)

    def unanswered(self, event: ArvoEvent, *, is_init: bool) -> list[ArvoEvent]:
        """Return what to send again for an event seen before, oldest first.

        For the init event that is everything, so that starting a workflow again resumes it.

        Raises:
            InvalidEventError: A kept output is not an event.
        """
        own = event_hash(event.source, event.id)
        return [
            stored_event(output)
            for step in self._steps
            if is_init or step.event == own
            for output in step.outputs
        ]

    def advance(
        self, event: ArvoEvent, outputs: Sequence[Mapping[str, Any]], *, window: int
    ) -> bool:
        """Record a consumed event and the outputs it led to.

        Args:
            event: The event.
            outputs: Emitted events as on the wire.
            window: How many steps' outputs are kept at most.

        Returns:
            Whether outputs that may not have arrived had to be dropped.
        """
        own = event_hash(event.source, event.id)
        self._answer(event.parentid, by=own)
        self._seen.append(own)
        if len(self._seen) > SEEN_LIMIT:
            self._seen = [self._seen[0], *self._seen[-(SEEN_LIMIT - 1) :]]
        self._forget_arrived()
        if outputs:
            self._steps.append(_Step(own, list(outputs), answered=None))
        return self._fit(window)

    def member(self) -> dict[str, Any]:
        """Return it as the record stores it."""
        return {
            "seen": self._seen,
            "out": [[step.event, step.outputs, step.answered] for step in self._steps],
        }

    def _answer(self, parentid: str | None, *, by: str) -> None:
        if parentid is None:
            return
        for step in self._steps:
            left = [output for output in step.outputs if output["id"] != parentid]
            if len(left) < len(step.outputs):
                step.outputs = left
                step.answered = by
        self._steps = [step for step in self._steps if step.outputs]

    def _forget_arrived(self) -> None:
        if len(self._seen) <= UNANSWERED_AFTER:
            return
        recent = set(self._seen[-UNANSWERED_AFTER:])
        self._steps = [step for step in self._steps if (step.answered or step.event) in recent]

    def _fit(self, window: int) -> bool:
        kept = self._steps[-window:]
        if len(kept) > 1:
            sizes = [len(to_json(step.outputs)) for step in kept]
            while len(kept) > 1 and sum(sizes) > OUT_BYTES:
                kept, sizes = kept[1:], sizes[1:]
        dropped = len(kept) < len(self._steps)
        self._steps = kept
        return dropped


# An event is hashed to look it up, and again to record it.
@lru_cache(maxsize=256)
def event_hash(source: str, event_id: str) -> str:
    """Return the short hash by which an event is remembered."""
    return blake2b(to_json([source, event_id]), digest_size=8).hexdigest()


def _hashes(stored: object) -> list[str]:
    if not isinstance(stored, list):
        raise TypeError("its seen events must be a list of strings")
    "".join(stored)  # raises unless all are strings, much faster than checking each at every step
    return list(stored)


def _kept_step(event: str, outputs: list[Any], answered: str | None) -> _Step:
    for output in outputs:
        if not isinstance(output, dict) or "id" not in output:
            raise TypeError(
                f"a kept output must be an object with an id, got a {type(output).__name__}"
            )
    return _Step(event, outputs, answered)


def _of_typescript_record(record: Mapping[str, Any]) -> Redelivery:
    events = record.get("events") or {}
    consumed = events.get("consumed")
    expected = events.get("expected") or {}
    # The init event's source is not stored, so it is known by its id alone.
    seen = [event_hash("", str(record.get("initEventId")))]
    seen += [
        event_hash(reply["source"], reply["id"])
        for replies in expected.values()
        for reply in replies
    ]
    if consumed is None:
        return Redelivery(seen, [])
    own = event_hash(consumed["source"], consumed["id"])
    outputs = list(events.get("produced") or [])
    steps = [_kept_step(own, outputs, None)] if outputs else []
    return Redelivery([*seen, own], steps)
