"""The drain of a lane: claims targets that have work, and works for them."""

import asyncio
from collections.abc import Callable, Mapping
from uuid import UUID

from arvo_event_store._target import TargetKind
from arvo_time.cancellation import take_or_give_back
from arvo_time.logs import bounded_logger

from ._acknowledgement import RunContext
from ._event_consumer import EventConsumer
from ._frontiers import Frontiers
from ._lane import Lane
from ._lease_run import LeaseRun
from ._outage import OUTAGES, Outage
from ._telemetry import count_lease

_logger = bounded_logger("arvo_event_store")


class Drain:
    """Works for the targets of one lane.

    It claims again when half of its slots are free, so it does not wait for the slowest.

    Args:
        name: The name of the lane.
        lane: Its limits.
        owner: Identifies the worker.
        consumers: The reactions of the lane, by name.
        context: What all work of the lane shares.
        outage: Pauses while the store fails.
        ended: Called when a piece of work has ended, with whether its target waits until it is due;
            also after a claim that found nothing.
    """

    def __init__(
        self,
        name: str,
        lane: Lane,
        *,
        owner: UUID,
        consumers: Mapping[str, EventConsumer],
        context: RunContext,
        outage: Outage,
        ended: Callable[[bool], None],
    ) -> None:
        self.name: str = name
        """The name of the lane."""
        self._lane = lane
        self._owner = owner
        self._consumers = consumers
        self._specs = [each.spec for each in consumers.values()]
        self._context = context
        self._outage = outage
        self._ended = ended
        self._frontiers = Frontiers(
            both=any(each.to is not TargetKind.EVENT for each in self._specs)
        )
        self._runs: dict[asyncio.Task[None], LeaseRun] = {}
        self._claims = asyncio.Lock()
        self._woken = False
        self._turn = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether half of the slots are free."""
        return 2 * (self._lane.concurrency - len(self._runs)) >= self._lane.concurrency

    @property
    def is_busy(self) -> bool:
        """Whether something is claimed, or being claimed."""
        return bool(self._runs) or self._claims.locked()

    def wake(self) -> None:
        """Claim as soon as there is room: there may be work."""
        self._woken = True
        self._look()

    async def run(self) -> None:
        """Claim and work until `stop`."""
        while not self._stop.is_set():
            await self._turn.wait()
            self._turn.clear()
            try:
                await self.claim()
            except OUTAGES as error:
                await self._outage.pause(error)
                self._woken = True
            else:
                self._outage.end()
            self._look()

    async def claim(self) -> int:
        """Claim what there is room for, and begin to work for it.

        Returns:
            How many targets were claimed.

        Raises:
            StoreFailure: The database failed, or the store is closed.
        """
        async with self._claims:
            room = self._lane.concurrency - len(self._runs)
            if not room or self._stop.is_set():
                return 0
            self._woken = False
            lagging, leading = self._frontiers.split(room)
            context = self._context
            until = context.clock.now() + self._lane.ttl
            leases = await take_or_give_back(
                context.store.claim(
                    context.group,
                    owner=self._owner,
                    ttl=self._lane.ttl,
                    reactions=self._specs,
                    lane=self.name,
                    lagging=lagging,
                    leading=leading,
                    max_events=self._lane.max_events,
                    max_bytes=self._lane.max_bytes,
                ),
                give_back=context.store.release,
            )
            self._woken = self._woken or len(leases) >= room
            context.stats.claimed += len(leases)
            for lease in leases:
                count_lease(group=lease.group, reaction=lease.reaction)
                run = LeaseRun(lease, self._consumers[lease.reaction], context, until=until)
                if self._stop.is_set():
                    run.leave()
                self._start(run)
            if not leases:
                self._ended(False)
            return len(leases)

    # --- the end ------------------------------------------------------------

    def stop(self) -> None:
        """Claim nothing more."""
        self._stop.set()
        self._turn.set()

    def leave(self) -> None:
        """Let all work end soon, after `stop`."""
        for run in self._runs.values():
            run.leave()

    async def wait(self) -> None:
        """Wait until all work has ended."""
        while self._runs or self._claims.locked():
            async with self._claims:
                pass
            if self._runs:
                await asyncio.wait([*self._runs])

    def abandon(self) -> None:
        """Give up what does not end, after `leave`."""
        for run in self._runs.values():
            run.abandon()
            _logger.warning(
                "the handler for %s ignores that it is cancelled; what it does is not stored",
                run.name,
            )

    # --- work ---------------------------------------------------------------

    def _look(self) -> None:
        if self._stop.is_set() or (self._woken and self.has_room):
            self._turn.set()

    def _start(self, run: LeaseRun) -> None:
        task = asyncio.create_task(run.run(), name=f"reaction {run.name}")
        self._runs[task] = run
        self._context.stats.running += 1
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(task)
        self._context.stats.running -= 1
        self._frontiers.handled(run.handled, lagging=run.lagging)
        if run.more:
            self._woken = True
        self._look()
        self._ended(run.sleeps)
