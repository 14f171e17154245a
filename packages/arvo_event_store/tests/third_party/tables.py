"""The tables of a toy store, which outlive its clients."""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from arvo_event_store import Event, ParkedEvent, StreamHead, TargetKind, TargetState
from arvo_event_store.stores import EventRow, Mark, ReactionSpec, SnapshotRow, stored_event


@dataclass
class Row:
    """An event as the toy keeps it."""

    position: int
    stream: str
    version: int
    given: EventRow
    private: str | None
    created: datetime

    def size(self) -> int:
        return len(self.given.data) + len(self.given.meta) + len(self.private or "")

    def event(self) -> Event:
        given = self.given
        return stored_event(
            position=self.position,
            stream=self.stream,
            version=self.version,
            id=given.id,
            name=given.name,
            data=given.data,
            meta=given.meta,
            private=self.private,
            correlation=given.correlation,
            causation=given.causation,
            created=self.created,
        )


@dataclass
class RegisteredRow:
    """A reaction as it is registered, and the lease of its scan."""

    spec: ReactionSpec
    scanned: int
    token: int = 0
    owner: UUID | None = None
    until: datetime | None = None

    def end_lease(self) -> None:
        self.owner = self.until = None
        self.token += 1


@dataclass
class TargetRow:
    """A target, and what is not shown of it."""

    state: TargetState
    reads: TargetKind
    owner: UUID | None = None
    listed: list[int] = field(default_factory=list)

    @property
    def has_work(self) -> bool:
        return self.state.at < self.state.mark

    def can_be_claimed(self, *, now: datetime) -> bool:
        state = self.state
        return (
            self.has_work
            and state.blocked_at is None
            and (state.due is None or state.due <= now)
            and (state.leased_until is None or state.leased_until <= now)
        )

    def change(self, **fields: object) -> None:
        self.state = replace(self.state, **fields)  # type: ignore[arg-type]
        self.listed = self.listed[bisect_right(self.listed, self.state.at) :]

    def end_lease(self) -> None:
        self.owner = None
        self.change(leased_until=None)


@dataclass
class Database:
    """What outlives the clients: plain tables."""

    rows: list[Row] = field(default_factory=list)
    heads: dict[str, StreamHead] = field(default_factory=dict)
    snapshots: dict[tuple[str, str, int], SnapshotRow] = field(default_factory=dict)
    reactions: dict[tuple[str, str], RegisteredRow] = field(default_factory=dict)
    targets: dict[tuple[str, str, str], TargetRow] = field(default_factory=dict)
    parked: dict[tuple[str, str, str, int], ParkedEvent] = field(default_factory=dict)
    position: int = 0

    highest_token: int = 0
    """That of any target that was ever there."""

    def raise_mark(
        self, mark: Mark, *, group: str, now: datetime, due: datetime | None = None
    ) -> None:
        """Insert a target; of one that exists, raise the mark, and list what is listed."""
        place = (group, mark.reaction, mark.key)
        row = self.targets.get(place)
        if row is None:
            token = max(int(now.timestamp() * 1_000) * 1_000, self.highest_token)
            state = TargetState(
                group=group,
                reaction=mark.reaction,
                key=mark.key,
                lane=mark.lane,
                stream=mark.stream,
                once=mark.reads is TargetKind.EVENT,
                at=mark.at,
                mark=mark.mark,
                attempt=0,
                failed=0,
                token=token,
                due=due,
                blocked_at=None,
                error=None,
                error_position=None,
            )
            row = self.targets[place] = TargetRow(state, mark.reads)
        row.listed = sorted({*row.listed, *mark.positions})
        row.change(mark=max(row.state.mark, mark.mark))

    def drop(self, place: tuple[str, str, str]) -> None:
        """Delete a target; one of its key that comes again has a higher token."""
        self.highest_token = max(self.highest_token, self.targets.pop(place).state.token)
