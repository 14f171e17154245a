"""The targets of reactions, in memory."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from arvo_event_store._target import TargetKind, TargetState

Work: TypeAlias = list[tuple[int, str, str]]
"""The targets of a lane that have work: watermark, reaction, key; the lowest watermark first."""
Asleep: TypeAlias = list[tuple[datetime, str, str]]
"""The targets of a lane that are asleep: when they wake, reaction, key; the next one first."""


# Two are the same only if they are one object, so that they can be members of a set.
@dataclass(slots=True, kw_only=True, eq=False)
class Target:
    """A target, as `TargetState` has it.

    Change the lane, the watermark, the mark, `due` and `blocked_at` of one that is stored only inside
    `Targets.changing`: they say in which index it is.
    """

    group: str
    reaction: str
    key: str
    lane: str
    reads: TargetKind
    stream: str | None
    at: int
    mark: int
    token: int = 0
    due: datetime | None = None
    attempt: int = 0
    failed: int = 0
    owner: UUID | None = None
    leased_until: datetime | None = None
    blocked_at: datetime | None = None
    error: str | None = None
    error_position: int | None = None
    listed: list[int] = field(default_factory=list)
    """The positions that are listed for it, in order."""

    @property
    def has_work(self) -> bool:
        """Whether something concerns it that is not done; it may be blocked or asleep."""
        return self.at < self.mark

    def is_free(self, *, now: datetime) -> bool:
        """Return whether it may be claimed, if it has work."""
        return self.leased_until is None or self.leased_until <= now

    def end_lease(self) -> None:
        """Let nobody have it."""
        self.owner = self.leased_until = None

    def clear(self) -> None:
        """Forget its tries and its last failure, and let it go on."""
        self.attempt = self.failed = 0
        self.error = self.error_position = self.blocked_at = self.due = None

    def add_positions(self, positions: Iterable[int]) -> None:
        """Add positions to its list, each once."""
        for position in positions:
            index = bisect_left(self.listed, position)
            if self.listed[index : index + 1] != [position]:
                self.listed.insert(index, position)

    def drop_positions(self, *, upto: int) -> None:
        """Delete the positions that are done from its list."""
        del self.listed[: bisect_right(self.listed, upto)]

    def keep_positions(self, *, upto: int) -> None:
        """Delete the positions that are to be listed again from its list."""
        del self.listed[bisect_right(self.listed, upto) :]

    def state(self) -> TargetState:
        """Return it as it is handed out."""
        return TargetState(
            group=self.group,
            reaction=self.reaction,
            key=self.key,
            lane=self.lane,
            stream=self.stream,
            once=self.reads is TargetKind.EVENT,
            at=self.at,
            mark=self.mark,
            attempt=self.attempt,
            failed=self.failed,
            token=self.token,
            due=self.due,
            blocked_at=self.blocked_at,
            error=self.error,
            error_position=self.error_position,
            leased_until=self.leased_until,
        )


class Targets:
    """All targets, and where to find those that have work, so that idle ones cost a claim nothing.

    A target with work that is neither blocked nor asleep is in the list of work of its group and
    lane, also while somebody has it; one that is asleep is in the list of those, until `wake`.
    """

    def __init__(self) -> None:
        self._groups: dict[str, dict[tuple[str, str], Target]] = {}
        self._streams: dict[str, set[Target]] = {}
        self._work: dict[tuple[str, str], Work] = {}
        self._asleep: dict[str, dict[str, Asleep]] = {}
        self._highest_gone = 0

    # --- finding ------------------------------------------------------------

    def get(self, group: str, *, reaction: str, key: str) -> Target | None:
        """Return a target; None if there is none."""
        return self._groups.get(group, {}).get((reaction, key))

    def of(self, group: str, *, reaction: str | None = None) -> list[Target]:
        """Return the targets of a group, and of a reaction if one is given, sorted."""
        found = self._groups.get(group, {})
        return [
            found[place]
            for place in sorted(place for place in found if reaction in {None, place[0]})
        ]

    def pending(self, stream: str) -> list[Target]:
        """Return the targets that have work in a stream, sorted.

        Those that read several streams wait for none: they read what is left of it.
        """
        found = [target for target in self._streams.get(stream, ()) if target.has_work]
        return sorted(found, key=lambda each: (each.group, each.reaction, each.key))

    def work(self, group: str, *, lane: str, backward: bool = False) -> Iterator[Target]:
        """Yield the targets of a lane that have work; change none of them meanwhile.

        Args:
            group: The group.
            lane: The lane.
            backward: Whether to begin with the highest watermark, instead of the lowest.
        """
        targets = self._groups.get(group, {})
        places = self._work.get((group, lane), [])
        for _, reaction, key in reversed(places) if backward else places:
            yield targets[reaction, key]

    def next_due(self, group: str, *, lanes: Collection[str]) -> datetime | None:
        """Return when the next target of some lanes wakes; None if none is asleep."""
        asleep = self._asleep.get(group, {})
        return min((asleep[lane][0][0] for lane in lanes if asleep.get(lane)), default=None)

    # --- changing -----------------------------------------------------------

    def add(self, target: Target, *, now: datetime) -> None:
        """Store a new target, and give it its first token.

        That is above all tokens of a target of its key that is gone, also when time stood still.
        """
        target.token = max(int(now.timestamp() * 1000) * 1000, self._highest_gone)
        self._groups.setdefault(target.group, {})[target.reaction, target.key] = target
        if target.stream is not None:
            self._streams.setdefault(target.stream, set()).add(target)
        self._enter(target)

    def remove(self, target: Target) -> None:
        """Delete a target."""
        self._leave(target)
        self._highest_gone = max(self._highest_gone, target.token)
        del self._groups[target.group][target.reaction, target.key]
        if target.stream is not None:
            self._streams[target.stream].remove(target)
            if not self._streams[target.stream]:
                del self._streams[target.stream]

    @contextmanager
    def changing(self, target: Target) -> Iterator[None]:
        """Let a stored target be changed inside the block."""
        self._leave(target)
        try:
            yield
        finally:
            self._enter(target)

    def raise_mark(self, new: Target, *, now: datetime) -> bool:
        """Insert a target; of one that exists, only raise the mark, and list what is listed.

        Returns:
            Whether there is work that was not there before.
        """
        found = self.get(new.group, reaction=new.reaction, key=new.key)
        if found is None:
            self.add(new, now=now)
            return True
        found.add_positions(new.listed)
        if found.mark >= new.mark:
            return False
        with self.changing(found):
            found.mark = new.mark
        return True

    def wake(self, group: str, *, now: datetime) -> None:
        """Wake the targets of a group that are due."""
        for asleep in self._asleep.get(group, {}).values():
            count = bisect_right(asleep, now, key=lambda each: each[0])
            due = asleep[:count]
            del asleep[:count]
            for _, reaction, key in due:
                target = self._groups[group][reaction, key]
                target.due = None
                self._enter(target)

    def drop(self, stream: str) -> None:
        """Delete the targets that read a stream."""
        for target in tuple(self._streams.get(stream, ())):
            self.remove(target)

    def _enter(self, target: Target) -> None:
        place = target.reaction, target.key
        if target.due is not None:
            lanes = self._asleep.setdefault(target.group, {})
            insort(lanes.setdefault(target.lane, []), (target.due, *place))
        elif target.has_work and target.blocked_at is None:
            insort(self._work.setdefault((target.group, target.lane), []), (target.at, *place))

    def _leave(self, target: Target) -> None:
        place = target.reaction, target.key
        if target.due is not None:
            asleep = self._asleep[target.group][target.lane]
            del asleep[bisect_left(asleep, (target.due, *place))]
        elif target.has_work and target.blocked_at is None:
            work = self._work[target.group, target.lane]
            del work[bisect_left(work, (target.at, *place))]
