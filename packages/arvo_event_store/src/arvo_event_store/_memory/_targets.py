"""The targets of reactions, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from arvo_event_store._target import TargetState
from arvo_event_store.stores import TargetMark


class Targets:
    """All targets, by group, reaction and key."""

    def __init__(self) -> None:
        self._targets: dict[tuple[str, str, str], TargetState] = {}

    def raise_marks(self, marks: Sequence[TargetMark], *, now: datetime) -> None:
        """Insert targets; of those that exist, only raise the mark."""
        for mark in marks:
            key = (mark.group, mark.reaction, mark.key)
            before = self._targets.get(key)
            if before is None:
                self._targets[key] = _new(mark, now=now)
            elif before.mark < mark.mark:
                self._targets[key] = replace(before, mark=mark.mark)

    def of(self, group: str, *, reaction: str | None) -> list[TargetState]:
        """Return the targets of a group, and of a reaction if one is given, sorted."""
        return [
            target
            for (name, of, _), target in sorted(self._targets.items(), key=lambda each: each[0])
            if name == group and reaction in {None, of}
        ]

    def pending(self, stream: str) -> list[TargetState]:
        """Return the targets that have work in a stream, sorted."""
        return [
            target
            for _, target in sorted(self._targets.items(), key=lambda each: each[0])
            if target.stream == stream and target.at < target.mark
        ]

    def drop(self, stream: str) -> None:
        """Delete the targets that read a stream."""
        self._targets = {
            key: target for key, target in self._targets.items() if target.stream != stream
        }


def _new(mark: TargetMark, *, now: datetime) -> TargetState:
    return TargetState(
        group=mark.group,
        reaction=mark.reaction,
        key=mark.key,
        lane=mark.lane,
        stream=mark.stream,
        once=mark.once,
        at=mark.at,
        mark=mark.mark,
        attempt=0,
        failed=0,
        # Above the tokens of a target of this key that is gone.
        token=int(now.timestamp() * 1000) * 1000,
        due=mark.due,
        blocked_at=None,
        error=None,
        error_position=None,
    )
