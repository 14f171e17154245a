"""A store that is compared with another one: what it was asked to keep for reactions, and what it gave."""

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from arvo_event_store._append import Append
from arvo_event_store._errors import EventStoreError, StoreFailure
from arvo_event_store._event import Event
from arvo_event_store._lease import Lease
from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._scan_page import Ready, ScanPage
from arvo_event_store._store import IEventStore
from arvo_event_store._target import TargetState

from ._consumer import Advance
from ._expectations import listed

Plain: TypeAlias = Any
"""What is compared. Positions differ between stores, so an event is its number in the sequence."""


@dataclass(slots=True)
class ReactionSide:
    """One of two stores, with what it handed out.

    Both hand out the same if they are alike, so a step of a sequence names a lease, a page or a target
    by its number.
    """

    store: IEventStore
    advance: Advance
    group: str
    positions: list[int] = field(default_factory=list, init=False)
    leases: list[Lease] = field(default_factory=list, init=False)
    pages: list[ScanPage] = field(default_factory=list, init=False)
    tokens: dict[tuple[str, str], int] = field(default_factory=dict, init=False)

    async def outcome(self, step: Callable[["ReactionSide"], Awaitable[Plain]]) -> Plain:
        """Return what a step gives, in a form that is the same for all stores."""
        try:
            return await step(self)
        except StoreFailure:
            raise
        except (EventStoreError, TypeError, ValueError) as error:
            return type(error).__name__

    # --- what is handed out -------------------------------------------------

    async def append(self, append: Append) -> Plain:
        """Append events, and number them."""
        (done,) = await self.store.append_all([append])
        await self.number(append.stream, count=done.count, version=done.version)
        return done.version, done.count

    async def number(self, stream: str, *, count: int, version: int | None) -> None:
        """Number the last events of a stream, which were just stored."""
        assert version is not None
        events = await listed(self.store.read(stream, after=version - count, upto=version))
        self.positions += [event.position for event in events]
        assert self.positions == sorted(set(self.positions)), "positions must grow"

    async def targets(self) -> list[TargetState]:
        """Return the targets of the group, in an order that is the same for all stores."""
        found = [each async for each in self.store.targets(self.group)]
        return sorted(found, key=lambda each: (each.reaction, self.key(each.key)))

    async def parked(self) -> list[ParkedEvent]:
        """Return what was put aside, in an order that is the same for all stores."""
        found = [each async for each in self.store.parked(self.group)]
        return sorted(found, key=lambda each: (each.reaction, self.key(each.key), each.position))

    def hold(self, leases: Sequence[Lease]) -> Plain:
        """Keep leases, whose tokens must be above those of all earlier ones."""
        found = sorted(leases, key=lambda each: (each.reaction, self.key(each.key)))
        for lease in found:
            before = self.tokens.get((lease.reaction, lease.key), 0)
            assert lease.token > before, f"token {lease.token} of {lease.key} is not above {before}"
            self.tokens[lease.reaction, lease.key] = lease.token
        self.leases += found
        return [self._lease(each) for each in found]

    def held(self, number: int) -> Lease | None:
        """Return a lease by its number, counted from the last one; None if there is none."""
        return self.leases[-1 - number % len(self.leases)] if self.leases else None

    # --- in a plain form ----------------------------------------------------

    def rank(self, position: int) -> int:
        """Return how many events of the sequence there are up to a position."""
        return bisect_right(self.positions, position)

    def position(self, rank: int) -> int:
        """Return the position of an event by its number; 0 is before the first one."""
        first = self.positions[0] - 1 if self.positions else 0
        return first if rank == 0 else self.positions[(rank - 1) % len(self.positions)]

    def key(self, key: str) -> Plain:
        """Return the key of a target, with the number of an event in place of its position."""
        parts = key.split(":")
        return tuple(f"event {self._number(each):09}" if each.isdigit() else each for each in parts)

    def page(self, page: ScanPage | None) -> Plain:
        """Keep a page, and return it in a plain form."""
        if page is None:
            return None
        self.pages.append(page)
        scanned = {name: self.rank(at) for name, at in page.scanned.items()}
        events = self._events(page.events)
        return scanned, {*page.tokens}, events, self.rank(page.upto), page.complete, page.others

    def target(self, target: TargetState) -> Plain:
        """Return a target in a plain form."""
        error = None if target.error_position is None else self.rank(target.error_position)
        return (
            *(target.reaction, self.key(target.key), target.lane, target.stream, target.once),
            *(self.rank(target.at), self.rank(target.mark), target.attempt, target.failed),
            *(target.blocked_at is None, target.error, error, target.leased_until is None),
        )

    def lag(self, lag: ReactionLag, *, horizon: int) -> Plain:
        """Return how far a reaction is behind in a plain form."""
        assert lag.unscanned in {0, horizon - lag.scanned}
        return (
            *(lag.reaction, self.rank(lag.scanned), lag.unscanned == 0),
            # One that is due and was not claimed yet may be counted as either.
            *(lag.pending + lag.asleep, lag.blocked, lag.parked, lag.oldest is None),
        )

    def aside(self, parked: ParkedEvent) -> Plain:
        """Return an event that was put aside in a plain form."""
        place = parked.reaction, self.key(parked.key), self.rank(parked.position)
        return place, parked.error, parked.attempts

    def ready(self, ready: Ready) -> Plain:
        """Return what there is to do in a plain form."""
        # What is due may be woken or not, so the next due is told alike only if nothing is.
        after = None if ready.lanes else ready.due_after
        return sorted(ready.lanes), after is None

    def _lease(self, lease: Lease) -> Plain:
        return (
            *(lease.reaction, self.key(lease.key), lease.reads, lease.stream, lease.lagging),
            *(self.rank(lease.at), self.rank(lease.mark), lease.attempt, lease.failed),
            *(self._events(lease.events), self.rank(lease.upto)),
        )

    def _events(self, events: Sequence[Event]) -> Plain:
        return [(self._number(each.position), each.stream, each.name) for each in events]

    def _number(self, position: int | str) -> int:
        found = bisect_left(self.positions, int(position))
        assert self.positions[found] == int(position), f"{position} is no event of the sequence"
        return found
