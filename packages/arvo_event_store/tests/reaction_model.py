"""What is promised of leases, watermarks and tries, as the interface describes it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from arvo_event_store import PER_EVENT, Event, TargetKind
from arvo_event_store.stores import (
    Blocked,
    Done,
    Lease,
    Mark,
    Parked,
    Postponed,
    Progress,
    ReactionSpec,
    Retried,
    ScanPage,
    Then,
)

SPECS: Final = {
    "streams": ReactionSpec(name="streams", events=("A",), lane="l"),
    "events": ReactionSpec(name="events", events=None, lane="l", to=PER_EVENT),
    "keys": ReactionSpec(name="keys", events=None, lane="l", to=TargetKind.KEY),
    "log": ReactionSpec(name="log", events=("B",), lane="l", to=TargetKind.LOG),
}


@dataclass
class Row:
    """What the model knows of a target."""

    reads: TargetKind
    stream: str | None
    at: int
    mark: int
    listed: set[int]
    attempt: int = 0
    failed: int = 0
    token: int | None = None
    """Of the lease that stands; None if none does."""
    until: datetime | None = None
    due: datetime | None = None
    blocked: int | None = None
    """The event it is blocked at."""


@dataclass
class Scan:
    """What the model knows of the scan of a reaction."""

    scanned: int = 0
    owner: UUID | None = None
    until: datetime | None = None
    leases: int = 0


@dataclass
class Model:
    """Leases, watermarks and tries, as the interface describes them."""

    log: list[Event] = field(default_factory=list)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    scans: dict[str, Scan] = field(default_factory=lambda: {name: Scan() for name in SPECS})
    parked: dict[tuple[str, str, int], int] = field(default_factory=dict)
    tokens: dict[tuple[str, str], int] = field(default_factory=dict)
    """The highest one that was ever given for a key."""

    def standing(self, lease: Lease) -> Row | None:
        """Return the row of a lease; None if it is lost."""
        row = self.rows.get((lease.reaction, lease.key))
        return row if row is not None and row.token == lease.token else None

    def window(self, reaction: str, row: Row) -> list[int]:
        """Return all that a target has to read."""
        spec = SPECS[reaction]
        if row.reads is PER_EVENT:
            return [row.mark]
        found = [event for event in self.log if row.at < event.position <= row.mark]
        if row.reads is TargetKind.KEY:
            return [event.position for event in found if event.position in row.listed]
        return [
            event.position
            for event in found
            if spec.takes(name=event.name, stream=event.stream)
            and row.stream in {None, event.stream}
        ]

    def mark(self, mark: Mark) -> None:
        if mark.mark <= self.scans[mark.reaction].scanned:
            return
        new = Row(mark.reads, mark.stream, mark.at, mark.mark, set())
        row = self.rows.setdefault((mark.reaction, mark.key), new)
        row.mark = max(row.mark, mark.mark)
        row.listed.update(mark.positions)

    def finish(self, lease: Lease, then: Then, *, at: int, now: datetime) -> None:
        """Let a lease that stands end, or go on."""
        row = self.rows[lease.reaction, lease.key]
        row.at = max(row.at, at)
        if not isinstance(then, Progress):
            row.token = row.until = None
        row.failed = 0
        row.attempt = row.attempt if isinstance(then, Blocked) else 0
        gone = False
        match then:
            case Done():
                gone = row.reads is PER_EVENT and at >= lease.mark
            case Progress():
                row.attempt, row.until = 1, now + then.ttl
            case Retried():
                row.failed, row.due = then.failed, now + then.after if then.after else None
            case Postponed(after=after):
                assert after is not None
                row.failed, row.due = then.failed, now + after
            case Blocked():
                row.failed, row.blocked = then.failed, then.position
            case Parked():
                self.parked[lease.reaction, lease.key, then.position] = then.failed
                row.at = max(row.at, then.position)
                gone = row.reads is PER_EVENT
        if gone:
            del self.rows[lease.reaction, lease.key]

    def reset(self, reaction: str, *, after: int) -> None:
        """Let a reaction be scanned again."""
        scan = self.scans[reaction]
        scan.scanned, scan.owner, scan.leases = after, None, scan.leases + 1
        for place, row in [*self.rows.items()]:
            if place[0] != reaction:
                continue
            if row.reads is PER_EVENT and row.mark > after:
                del self.rows[place]
                continue
            row.at, row.mark = min(row.at, after), min(row.mark, after)
            row.listed = {position for position in row.listed if position <= after}
            row.attempt = row.failed = 0
            row.token = row.until = row.due = row.blocked = None

    def counts(self, reaction: str) -> tuple[int, ...]:
        """Return how many targets have work, are asleep and blocked, and how many events are parked."""
        rows = [row for (name, _), row in self.rows.items() if name == reaction]
        free = [row for row in rows if row.due is None and row.blocked is None]
        return (
            sum(row.at < row.mark for row in free),
            sum(row.due is not None for row in rows),
            sum(row.blocked is not None for row in rows),
            sum(name == reaction for name, _, _ in self.parked),
        )


def marks_of(page: ScanPage) -> list[Mark]:
    """Route a page, as an engine would."""
    found: dict[tuple[str, str], Mark] = {}
    for name, scanned in page.scanned.items():
        spec = SPECS[name]
        for event in page.events:
            if event.position <= scanned or not spec.takes(name=event.name, stream=event.stream):
                continue
            position = event.position
            key = {
                TargetKind.STREAM: event.stream,
                TargetKind.EVENT: str(position),
                TargetKind.KEY: f"k{position % 2}",
                TargetKind.LOG: "log",
            }[spec.to]
            mark = found.setdefault(
                (name, key),
                Mark(
                    reaction=name,
                    key=key,
                    lane="l",
                    reads=spec.to,
                    stream=event.stream if spec.to in (TargetKind.STREAM, PER_EVENT) else None,
                    at=position - 1,
                    mark=position,
                ),
            )
            mark.mark = position
            if spec.to is TargetKind.KEY:
                mark.positions = (*mark.positions, position)
    return list(found.values())
