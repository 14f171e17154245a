"""A consumer of reactions: calls of a store, with the arguments that most tests do not care about."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Self, TypeAlias, TypeVar
from uuid import UUID, uuid4

from arvo_event_store._append import Append
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._lease import Done, Finish, Lease, Then
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._scan_page import Mark, Ready, ScanPage, UnroutedEvent
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_STREAM, TargetKind, TargetState, Wake

from ._expectations import listed, some
from ._pages import marks_of

T = TypeVar("T")

Advance: TypeAlias = Callable[[timedelta], Awaitable[None]]
"""Lets the time of a store pass, by its own clock."""
ConnectStore: TypeAlias = Callable[[], AbstractAsyncContextManager[IEventStore]]
"""Opens one more client of the same store, for as long as the block lasts."""

TTL: Final = timedelta(hours=1)
"""A lease that no test outlives, unless it lets the time pass."""
MINUTE: Final = timedelta(minutes=1)
SCANNED: Final = ReactionSpec(name="r", events=("Added",))
"""A reaction to streams that are scanned."""
WOKEN: Final = ReactionSpec(name="r", events=None, addressed=True)
"""A reaction whose targets appends wake."""


@dataclass(slots=True)
class Consumer:
    """A worker of a group, as far as a store sees it."""

    store: IEventStore
    reactions: Sequence[ReactionSpec] = (SCANNED,)
    group: str = field(default="g", kw_only=True)
    owner: UUID = field(default_factory=uuid4, kw_only=True)
    keys: Callable[[Event], Collection[str]] = field(
        default=lambda event: (event.stream,), kw_only=True
    )

    # --- the log ------------------------------------------------------------

    async def wake(
        self,
        stream: str,
        events: int | Sequence[NewEvent] = 1,
        *,
        to: TargetKind = PER_STREAM,
        reaction: str = "r",
        lane: str = "default",
        due: datetime | None = None,
    ) -> list[Event]:
        """Append events that wake targets, and return them as they are stored."""
        wake = Wake(group=self.group, reaction=reaction, lane=lane, to=to, due=due)
        return await stored(self.store, stream, events, wakes=[wake])

    # --- scanning -----------------------------------------------------------

    async def register(self) -> Self:
        """Make the reactions known."""
        await self.store.register(self.group, self.reactions)
        return self

    async def scan(self, *, limit: int = 100, leading: bool = True) -> ScanPage | None:
        """Read the next page; None if others scan."""
        return await self.store.scan(
            self.group,
            owner=self.owner,
            ttl=TTL,
            reactions=self.reactions,
            limit=limit,
            leading=leading,
        )

    async def page(self, *, limit: int = 100, leading: bool = True) -> ScanPage:
        """Read the next page, which nobody else may scan."""
        page = await self.scan(limit=limit, leading=leading)
        assert page is not None, "nobody else scans, so there must be a page"
        return page

    async def mark(
        self,
        page: ScanPage,
        *marks: Mark,
        unrouted: Sequence[UnroutedEvent] = (),
        progress: Collection[str] | None = None,
    ) -> bool:
        """Store marks, and the progress of all reactions of the page unless others are given."""
        names = page.tokens if progress is None else progress
        return await self.store.mark(page, marks, unrouted=unrouted, progress=names)

    async def route(self, page: ScanPage) -> bool:
        """Store what a page concerns."""
        return await self.mark(page, *marks_of(page, self.reactions, keys=self.keys))

    async def catch_up(self, *, limit: int = 100) -> list[Event]:
        """Scan up to the horizon, and return the events of all pages."""
        found: list[Event] = []
        leading = True
        for _ in rounds():
            page = await self.page(limit=limit, leading=leading)
            found += page.events
            assert await self.route(page), "nobody else scans, so the page must be stored"
            if page.complete and not page.others:
                break
            leading = not (leading and page.others)
        return found

    # --- leases -------------------------------------------------------------

    async def ready(self, *lanes: str) -> Ready:
        """Ask which lanes have work."""
        return await self.store.ready(self.group, lanes=lanes or ("default",))

    async def claim(
        self,
        *,
        lane: str = "default",
        lagging: int = 100,
        leading: int = 0,
        max_events: int = 100,
        max_bytes: int = 2**20,
    ) -> list[Lease]:
        """Take leases of the reactions of a lane."""
        return await self.store.claim(
            self.group,
            owner=self.owner,
            ttl=TTL,
            reactions=[each for each in self.reactions if each.lane == lane],
            lane=lane,
            lagging=lagging,
            leading=leading,
            max_events=max_events,
            max_bytes=max_bytes,
        )

    async def lease(self, *, max_events: int = 100, max_bytes: int = 2**20) -> Lease:
        """Take the lease of the one target that has work."""
        leases = await self.claim(max_events=max_events, max_bytes=max_bytes)
        assert len(leases) == 1, f"one target has work, but {len(leases)} were claimed"
        return leases[0]

    async def finish(
        self, lease: Lease, then: Then, *, at: int | None = None, appends: Sequence[Append] = ()
    ) -> Exception | None:
        """End a lease, at its watermark unless another one is given, and return what was refused."""
        finish = Finish(lease=lease, at=lease.at if at is None else at, then=then, appends=appends)
        finished = single(await self.store.finish([finish]))
        return finished.error

    async def done(self, *leases: Lease) -> None:
        """End leases whose events are all done."""
        given = [Finish(lease=each, at=each.upto, then=Done()) for each in leases]
        assert [each.error for each in await self.store.finish(given)] == [None] * len(given)

    async def drain(self) -> list[Event]:
        """Do all that there is to do, and return the events in the order of the leases."""
        found: list[Event] = []
        for _ in rounds():
            leases = await self.claim()
            if not leases:
                break
            found += [event for lease in leases for event in lease.events]
            await self.done(*leases)
        return found

    # --- what is stored -----------------------------------------------------

    async def targets(
        self, *, reaction: str | None = None, blocked: bool | None = None
    ) -> list[TargetState]:
        """Return the targets of the group."""
        found = self.store.targets(self.group, reaction=reaction, blocked=blocked)
        return [target async for target in found]

    async def target(self, key: str, *, reaction: str = "r") -> TargetState:
        """Return a target, which must be there."""
        found = [each for each in await self.targets(reaction=reaction) if each.key == key]
        assert len(found) == 1, f"target {key!r} must be there once, not {len(found)} times"
        return found[0]

    async def lag(self, reaction: str = "r") -> ReactionLag:
        """Return how far a reaction is behind, which must be registered."""
        lags = await self.store.lag(self.group)
        return single([each for each in lags if each.reaction == reaction])

    async def parked(self, *, reaction: str | None = None) -> list[ParkedEvent]:
        """Return the events that were put aside."""
        return [each async for each in self.store.parked(self.group, reaction=reaction)]


def single(found: Collection[T]) -> T:
    """Return the one thing that must be found."""
    assert len(found) == 1, f"one must be found, not {len(found)}: {found}"
    return next(iter(found))


def rounds(most: int = 1_000) -> Iterator[int]:
    """Count rounds, and fail if a store keeps a test going for ever."""
    yield from range(most)
    raise AssertionError(f"there is still something to do after {most} rounds")


async def stored(
    store: IEventStore,
    stream: str,
    events: int | Sequence[NewEvent] = 1,
    *,
    wakes: Sequence[Wake] = (),
) -> list[Event]:
    """Append events, or so many, and return them as they are stored."""
    given = some(events) if isinstance(events, int) else events
    done = single(await store.append_all([Append(stream, given, wakes=wakes)]))
    assert done.version is not None
    return await listed(store.read(stream, after=done.version - len(given)))


def at_rest(target: TargetState) -> TargetState:
    """Return a target without the time of its lease, to compare it."""
    return replace(target, leased_until=None)


def in_order(events: Iterable[Event]) -> list[Event]:
    """Return events in the order of the log."""
    return sorted(events, key=lambda event: event.position)


def positions(events: Sequence[Event]) -> list[int]:
    """Return the positions of events."""
    return [event.position for event in events]
