"""The scan: reads events that reactions have not seen, and marks the targets they concern."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from arvo_event_store._reaction_store import IReactionStore
from arvo_event_store._scan_page import ScanPage
from arvo_event_store.stores import Changes
from arvo_time import Clock

from ._event_consumer import EventConsumer
from ._failure import ErrorListener, ReactionFailure
from ._outage import OUTAGES, Outage
from ._routing import Routed, Routing
from ._telemetry import count_failure
from ._worker_stats import WorkerStats

LEASE: Final = timedelta(seconds=3)
"""For how long one worker scans; when it dies, another goes on after this."""
_PAGE: Final = 1_000
"""How many events are scanned at once. Also how far a reaction is behind before its progress is stored
although nothing concerned it."""
_AGAIN: Final = 100
"""How many events are read that concern nobody before that is stored, or they are read again each time."""
_AT_ONCE: Final = 100
"""How many events are routed before other tasks may run."""


class Scanner:
    """Scans for the reactions of one worker, as long as no other worker does.

    Args:
        store: Where the events are.
        group: The group.
        owner: Identifies the worker.
        consumers: Its reactions.
        changes: Says when the store changed.
        marked: Called when targets were marked.
        report: Is told of events that could not be routed.
        stats: Counts them.
        poll: How long to wait when nothing is told.
        clock: For that wait.
        outage: Pauses while the store fails.
    """

    def __init__(
        self,
        store: IReactionStore,
        *,
        group: str,
        owner: UUID,
        consumers: Sequence[EventConsumer],
        changes: Changes,
        marked: Callable[[], None],
        report: ErrorListener,
        stats: WorkerStats,
        poll: timedelta,
        clock: Clock,
        outage: Outage,
    ) -> None:
        self._store = store
        self._group = group
        self._owner = owner
        self._specs = [each.spec for each in consumers]
        self._scans = {each.name for each in self._specs if not each.addressed}
        self._routing = Routing(consumers)
        self._changes = changes
        self._marked = marked
        self._report = report
        self._stats = stats
        self._poll = min(poll, LEASE / 3)
        self._clock = clock
        self._outage = outage
        self._leading = True
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Scan until cancelled.

        Raises:
            ReactionChangedError: A reaction is registered with another definition by now.
        """
        changed = True
        while True:
            seen = self._changes.count
            try:
                # When nothing happens, it is time to store how far all of them are.
                await self.catch_up(all_progress=not changed)
            except OUTAGES as error:
                await self._outage.pause(error)
                continue
            self._outage.end()
            if self._scans:
                changed = await self._changes.wait(seen=seen, at_most=self._poll)
            else:  # all are addressed, and only compared with what is registered
                await self._clock.sleep(self._poll)

    async def catch_up(self, *, all_progress: bool = False) -> bool:
        """Scan up to the horizon.

        Args:
            all_progress: Whether to store the progress of all reactions, also of those that nothing
                concerned.

        Returns:
            Whether everything is scanned; if not, another worker is at it.

        Raises:
            ReactionChangedError: A reaction is registered with another definition by now.
            StoreFailure: The database failed, or the store is closed.
        """
        async with self._turn:
            while True:
                page = await self._store.scan(
                    self._group,
                    owner=self._owner,
                    ttl=LEASE,
                    reactions=self._specs,
                    limit=_PAGE,
                    leading=self._leading,
                )
                if page is None:
                    return not self._scans or await self._is_scanned(self._scans)
                # Those that are far behind take turns with the others.
                self._leading = not (self._leading and page.others)
                stored = await self._scan(page, all_progress=all_progress)
                if stored and page.complete and not page.others:
                    return await self._is_scanned(self._scans - page.tokens.keys())

    async def leave(self) -> None:
        """Let another worker scan at once.

        Raises:
            StoreFailure: The database failed, or the store is closed.
        """
        await self._store.leave(self._group, owner=self._owner)

    async def _scan(self, page: ScanPage, *, all_progress: bool) -> bool:
        """Mark what a page concerns, and return whether it is stored."""
        routed = Routed()
        for start in range(0, len(page.events), _AT_ONCE):
            self._routing.add(routed, page.events[start : start + _AT_ONCE], scanned=page.scanned)
            await asyncio.sleep(0)
        concerned = routed.reactions
        behind = [name for name, at in page.scanned.items() if at < page.upto]
        progress = [
            name
            for name in behind
            if all_progress
            or name in concerned
            or page.upto - page.scanned[name] >= _PAGE
            or len(page.events) >= _AGAIN
        ]
        if not progress and (page.others or not page.complete):
            # Or the next page would be the same; a store may read less at once than it is asked for.
            progress = behind
        if not progress:
            return True
        marks = routed.marks()
        unrouted = [each for each, _ in routed.unrouted]
        if not await self._store.mark(page, marks, unrouted=unrouted, progress=progress):
            return False
        if marks:
            self._marked()
        self._stats.parked += len(unrouted)
        for each, error in routed.unrouted:
            count_failure("parked", group=self._group, reaction=each.reaction)
            await self._report(
                ReactionFailure(
                    group=self._group,
                    reaction=each.reaction,
                    key="?",
                    position=each.position,
                    error=error,
                    failed=0,
                    outcome="parked",
                )
            )
        return True

    async def _is_scanned(self, reactions: set[str]) -> bool:
        """Return whether other workers have scanned all events for some reactions."""
        if not reactions:
            return True
        return not any(
            each.unscanned
            for each in await self._store.lag(self._group)
            if each.reaction in reactions
        )
