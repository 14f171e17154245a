"""One life of a worker: its tasks, from the first scan to the last lease."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import uuid4

from arvo_event_store._errors import StoreFailure
from arvo_event_store._wake_ups import IWakeUps
from arvo_event_store.stores import Changes
from arvo_time import Clock
from arvo_time.cancellation import shielded
from arvo_time.logs import bounded_logger

from ._acknowledgement import IWorkerStore, RunContext
from ._drain import Drain
from ._event_consumer import EventConsumer
from ._failure import ErrorListener
from ._finish_queue import FinishQueue
from ._gauges import Gauges
from ._lane import Lane
from ._lease_keeper import LeaseKeeper
from ._outage import OUTAGES, Outage
from ._scan import Scanner
from ._telemetry import count_look
from ._turns import Turns
from ._worker_stats import WorkerStats

_PATIENCE: Final = timedelta(seconds=5)
"""How long a handler has to end after it was cancelled."""
_SOON: Final = timedelta(milliseconds=20)
_LISTEN: Final = timedelta(minutes=1)
_logger = bounded_logger("arvo_event_store")


class Engine:
    """Runs the reactions of a worker from `start` to `stop`.

    Args:
        store: The store.
        group: The group.
        consumers: The reactions.
        lanes: The limits of their lanes.
        poll: How long to wait when nothing is told.
        grace: How long handlers may go on at the end.
        clock: What time it is.
        random: Spreads pauses.
        report: Is told of failures.
        stats: Counts.
        troubles: Has what fails now.
    """

    def __init__(
        self,
        store: IWorkerStore,
        *,
        group: str,
        consumers: Sequence[EventConsumer],
        lanes: Mapping[str, Lane],
        poll: timedelta,
        grace: timedelta,
        clock: Clock,
        random: Random,
        report: ErrorListener,
        stats: WorkerStats,
        troubles: dict[str, str],
    ) -> None:
        self._store = store
        self._group = group
        self._poll = poll
        self._grace = grace
        self._clock = clock
        self._random = random
        self._stats = stats
        self._troubles = troubles
        self._owner = uuid4()
        self._changes = Changes(clock)
        self._looks = Changes(clock)
        self._ends = Changes(clock)
        self._finishes = FinishQueue(store)
        self._gauges = Gauges(
            store,
            group=group,
            reactions={each.name for each in consumers},
            clock=clock,
            troubles=troubles,
        )
        self._scanner = Scanner(
            store,
            group=group,
            owner=self._owner,
            consumers=consumers,
            changes=self._changes,
            marked=self._marked,
            report=report,
            stats=stats,
            poll=poll,
            clock=clock,
            outage=self._outage("the scan"),
        )
        turns = Turns()
        self._keepers: list[LeaseKeeper] = []
        self._drains: list[Drain] = []
        for name in sorted({each.spec.lane for each in consumers}):
            lane = lanes[name]
            keeper = LeaseKeeper(
                store,
                ttl=lane.ttl,
                clock=clock,
                outage=self._outage(f"renewing leases of lane {name!r}", longest=lane.ttl / 3),
            )
            self._keepers.append(keeper)
            drain = Drain(
                name,
                lane,
                owner=self._owner,
                consumers={each.name: each for each in consumers if each.spec.lane == name},
                context=RunContext(
                    group=group,
                    store=store,
                    finishes=self._finishes,
                    keeper=keeper,
                    turns=turns,
                    ttl=lane.ttl,
                    clock=clock,
                    random=random,
                    stats=stats,
                    report=report,
                ),
                outage=self._outage(f"claiming in lane {name!r}"),
                ended=self._ended,
            )
            self._drains.append(drain)
        self._tasks: list[asyncio.Task[None]] = []
        self._drain_tasks: list[asyncio.Task[None]] = []
        self._body: asyncio.Task[Any] | None = None
        self._soon = _SOON
        self._stopping = False
        self._cancelled_body = False
        self.error: BaseException | None = None
        """What ended it early; None if nothing did."""

    # --- life ---------------------------------------------------------------

    def start(self) -> None:
        """Begin, in tasks of the running event loop. If one fails, the current task is cancelled."""
        self._body = asyncio.current_task()
        if isinstance(self._store, IWakeUps):
            self._spawn(self._listen(self._store))
        self._spawn(self._finishes.run())
        for keeper in self._keepers:
            self._spawn(keeper.run())
        self._spawn(self._scanner.run())
        self._spawn(self._gauges.run())
        self._spawn(self._look())
        self._drain_tasks = [self._spawn(drain.run()) for drain in self._drains]

    async def stop(self) -> None:
        """Claim nothing more, let handlers go on for the grace, cancel them, give everything back.

        Raises:
            CancelledError: The current task was cancelled, which ends the grace.
        """
        self._stopping = True
        for drain in self._drains:
            drain.stop()
        try:
            async with self._clock.timeout(self._grace):
                await self._idle()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if not self._cancelled_body:
                raise
        finally:
            await shielded(self._end())
            if self._cancelled_body and self._body is not None:
                self._body.uncancel()

    async def settle(self) -> None:
        """Wait until nothing is due.

        Raises:
            ReactionChangedError: A reaction is registered with another definition by now.
            StoreFailure: The store failed, and will not work again by itself.
        """
        outage = self._outage("settling")
        while True:
            seen = self._ends.count
            try:
                settled = await self._is_settled()
            except StoreFailure as failure:
                if not failure.retryable:
                    raise
                await outage.pause(failure)
                continue
            outage.end()
            if settled:
                return
            await self._ends.wait(seen=seen, at_most=self._poll)

    async def _is_settled(self) -> bool:
        claimed = self._stats.claimed
        if any(drain.is_busy for drain in self._drains):
            return False
        if not await self._scanner.catch_up():
            return False
        ready = await self._store.ready(self._group, lanes=[each.name for each in self._drains])
        for drain in self._drains:
            # The work of a lane may be another deployment's; a claim tells.
            if drain.name in ready.lanes and await drain.claim():
                return False
        return claimed == self._stats.claimed and not any(each.is_busy for each in self._drains)

    # --- tasks --------------------------------------------------------------

    async def _listen(self, store: IWakeUps) -> None:
        """Pass on that the store changed."""
        outage = self._outage("listening")
        seen = store.changes
        while True:
            try:
                changed = await store.wait_for_change(seen=seen, at_most=_LISTEN)
            except OUTAGES as error:
                await outage.pause(error)
                continue
            outage.end()
            seen = store.changes
            if changed:
                self._changes.tell()
                self._looks.tell()
                self._ends.tell()

    async def _look(self) -> None:
        """Ask which lanes have work, and wake them."""
        outage = self._outage("looking for work")
        while True:
            seen = self._looks.count
            try:
                pause = await self._wake_lanes()
            except OUTAGES as error:
                await outage.pause(error)
                continue
            outage.end()
            await self._looks.wait(seen=seen, at_most=pause)

    async def _wake_lanes(self) -> timedelta:
        """Wake the lanes that have work, and return how long until to look again."""
        asked = {drain.name: drain for drain in self._drains if drain.has_room}
        for drain in self._drains:
            if drain.name not in asked:
                drain.wake()  # it claims anyway, once it has room
        if not asked:
            return self._poll
        ready = await self._store.ready(self._group, lanes=[*asked])
        count_look(group=self._group, found=bool(ready.lanes))
        for name in ready.lanes:
            if name in asked:
                asked[name].wake()
        if ready.due_after is None:
            return self._poll
        if ready.due_after:
            self._soon = _SOON
            return min(self._poll, ready.due_after)
        # Those that are due are claimed now, unless no worker here knows them. When the next one is
        # due, only another look tells.
        soon, self._soon = self._soon, min(self._soon * 2, self._poll)
        return min(self._poll, soon)

    def _marked(self) -> None:
        """Note that targets were marked, where the store does not say so."""
        self._ends.tell()
        if not isinstance(self._store, IWakeUps):
            self._looks.tell()

    def _ended(self, sleeps: bool) -> None:
        self._ends.tell()
        if sleeps:
            self._looks.tell()  # it may be due before the next look

    def _outage(self, part: str, *, longest: timedelta = timedelta(seconds=30)) -> Outage:
        return Outage(
            part,
            troubles=self._troubles,
            clock=self._clock,
            random=self._random,
            longest=longest,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._check)
        self._tasks.append(task)
        return task

    def _check(self, task: asyncio.Task[None]) -> None:
        """End the worker if one of its own tasks fails."""
        if task.cancelled() or task.exception() is None or self.error is not None:
            return
        self.error = task.exception()
        if self._body is not None and not self._stopping:
            self._cancelled_body = True
            self._body.cancel()

    # --- the end ------------------------------------------------------------

    async def _idle(self) -> None:
        await asyncio.gather(*(drain.wait() for drain in self._drains))

    async def _end(self) -> None:
        for drain in self._drains:
            drain.leave()
        try:
            async with self._clock.timeout(_PATIENCE):
                await self._idle()
        except TimeoutError:
            for drain in self._drains:
                drain.abandon()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._scanner.leave()
        except StoreFailure as failure:
            _logger.warning("could not leave the scan of group %r: %s", self._group, failure)
