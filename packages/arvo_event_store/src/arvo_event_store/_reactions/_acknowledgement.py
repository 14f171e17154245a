"""What is done under a lease, and how it is stored."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final, Protocol

from arvo_event_store._errors import ConflictError, LeaseLostError, StoreFailure
from arvo_event_store._event import Event
from arvo_event_store._lease import Done, Finish, Lease, Progress, Then
from arvo_event_store._log import IStreamAccess
from arvo_event_store._reaction_store import IReactionStore
from arvo_event_store._telemetry import count_conflict, count_stored
from arvo_time import Backoff, Clock
from arvo_time.logs import bounded_logger

from ._failure import ErrorListener
from ._finish_queue import FinishQueue
from ._interruption import Interruption
from ._lease_keeper import LeaseKeeper
from ._stage import Stage, merged_appends
from ._telemetry import count_handled
from ._turns import Turns
from ._worker_stats import WorkerStats

_FAILURE: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=5))
_RELEASES: Final = 3
_logger = bounded_logger("arvo_event_store")


class IWorkerStore(IStreamAccess, IReactionStore, Protocol):
    """What a `ReactionWorker` needs of a store."""


@dataclass(slots=True, kw_only=True)
class RunContext:
    """What the work of a lane shares."""

    group: str
    """The group."""
    store: IWorkerStore
    """The store."""
    finishes: FinishQueue
    """Where to store what becomes of leases."""
    keeper: LeaseKeeper
    """Renews them."""
    turns: Turns
    """Keeps those apart that decide on one stream."""
    ttl: timedelta
    """For how long leases are."""
    clock: Clock
    """What time it is."""
    random: Random
    """Spreads pauses."""
    stats: WorkerStats
    """Counts."""
    report: ErrorListener
    """Is told of failures."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Events that were handled together, and what was staged for them."""

    events: Sequence[Event]
    """The events."""
    stage: Stage
    """What was staged."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a store refused."""

    error: Exception
    """Why."""
    left: Sequence[Sequence[Event]]
    """The events that it is about, and those after them that were to be stored too."""


class EndedLeaseError(Exception):
    """The lease is lost or was given back, and what is staged is dropped."""


class Acknowledgement:
    """Gathers what was handled under a lease, and stores it, each event with what was staged for it.

    Args:
        lease: The lease.
        context: What it shares with others.
        interruption: Requested when the lease is lost.
        until: When the lease ends if it is not renewed.
    """

    def __init__(
        self, lease: Lease, context: RunContext, *, interruption: Interruption, until: datetime
    ) -> None:
        self.lease: Lease = lease
        """The lease."""
        self._context = context
        self._interruption = interruption
        self._pending: list[Tried] = []
        self._at = lease.at
        self._stored_at = context.clock.monotonic()
        self.until: datetime = until
        """When the lease ends if it is not renewed."""
        self.lost: bool = False
        """Whether somebody else has the lease."""
        self.handled: int = 0
        """How many events are handled and stored."""

    @property
    def name(self) -> str:
        """The target, for logs."""
        return f"{self.lease.group}/{self.lease.reaction}/{self.lease.key}"

    @property
    def at(self) -> int:
        """The position up to which everything is handled, stored or not."""
        return self._pending[-1].events[-1].position if self._pending else self._at

    @property
    def is_due(self) -> bool:
        """Whether what gathered should be stored, so that little is done again if the worker dies."""
        passed = self._context.clock.monotonic() - self._stored_at
        return passed >= self._context.ttl.total_seconds() / 3

    def renewed(self) -> None:
        """Note that the lease was renewed."""
        self.until = self._context.clock.now() + self._context.ttl

    def lose(self) -> None:
        """Drop everything: somebody else has the lease."""
        self.lost = True
        self._interruption.request()

    def add(self, tried: Tried) -> None:
        """Gather what was handled.

        Raises:
            EndedLeaseError: The lease was lost meanwhile.
        """
        if self.lost:
            raise EndedLeaseError
        self._pending.append(tried)

    async def store(self, then: Then | None = None, *, at: int | None = None) -> Refusal | None:
        """Store what gathered.

        Args:
            then: How the lease goes on; None if it just does.
            at: The watermark; None is the last of the events that were handled.

        Returns:
            What was refused; None if all is stored.

        Raises:
            EndedLeaseError: The lease is lost, or its outcome is unknown.
            InterruptedWorkError: The worker leaves while the store fails.
        """
        then = Progress(ttl=self._context.ttl) if then is None else then
        at = self.at if at is None else at
        pending, self._pending = self._pending, []
        groups = deque([pending])
        if len(pending) > 1 and pending[-1].stage.expects:
            # What it expects was read before that of the others is there.
            groups = deque([pending[:-1], pending[-1:]])
        while groups:
            group = groups.popleft()
            if groups:
                progress = Progress(ttl=self._context.ttl)
                error = await self._finish(group, progress, at=group[-1].events[-1].position)
            else:
                error = await self._finish(group, then, at=at)
            if error is None:
                continue
            if not group:
                raise error
            if len(group) == 1:
                left = [tried.events for each in (group, *groups) for tried in each]
                return Refusal(error, left)
            groups.extendleft([tried] for tried in reversed(group))
        return None

    async def give_back(self) -> None:
        """End the lease before its work is done, and keep what was handled."""
        if self._pending and await self.store(Done()) is None:
            return
        await self.release()

    async def release(self) -> None:
        """Give the lease back as if it had not been taken. If that fails, it runs out by itself."""
        self._context.keeper.remove(self)
        for tried, pause in enumerate(_FAILURE.delays(random=self._context.random), 1):
            try:
                await self._context.store.release([self.lease])
            except StoreFailure as failure:
                if tried == _RELEASES:
                    _logger.warning("could not give %s back: %s", self.name, failure)
                    return
            else:
                return
            await self._context.clock.sleep(pause)

    async def _finish(self, group: Sequence[Tried], then: Then, *, at: int) -> Exception | None:
        finish = Finish(
            lease=self.lease,
            at=at,
            then=then,
            appends=merged_appends([tried.stage for tried in group]),
            work=[work for tried in group for work in tried.stage.work],
        )
        ends = not isinstance(then, Progress)
        if ends:
            self._context.keeper.remove(self)  # or it would find that the lease is lost
        error = await self._finished(finish)
        if error is None:
            count = sum(len(tried.events) for tried in group)
            self.handled += count
            self._context.stats.handled += count
            if count:
                count_handled(count, group=self.lease.group, reaction=self.lease.reaction)
            for append in finish.appends:
                count_stored(len(append.events))
            self._at, self._stored_at = at, self._context.clock.monotonic()
            self.renewed()
        elif isinstance(error, LeaseLostError):
            self.lost = True
            raise EndedLeaseError
        else:
            if isinstance(error, ConflictError):
                count_conflict()
            if ends:
                self._context.keeper.add(self)
        return error

    async def _finished(self, finish: Finish) -> Exception | None:
        for tried, pause in enumerate(_FAILURE.delays(random=self._context.random)):
            if self.lost:
                raise EndedLeaseError
            try:
                return (await self._context.finishes.finish(finish)).error
            except StoreFailure as failure:
                if (
                    failure.outcome == "unknown"
                    or not failure.retryable
                    or self._interruption.requested
                ):
                    # Whoever gets the target next sees whether it is stored. Sent again after an
                    # unknown outcome, it might be stored twice.
                    _logger.warning("could not store what became of %s: %s", self.name, failure)
                    await self.release()
                    raise EndedLeaseError from failure
                if not tried:
                    # If it goes on until the lease ends, that counts as a try without a word.
                    _logger.warning(
                        "what became of %s cannot be stored, and is tried again: %s",
                        *(self.name, failure),
                    )
            await self._interruption.within(self._context.clock.sleep(pause))
        raise AssertionError("the pauses do not end")
