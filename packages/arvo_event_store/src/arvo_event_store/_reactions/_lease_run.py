"""The work under one lease."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final, Literal

from arvo_event_store._errors import ConflictError, UnknownEventError
from arvo_event_store._event import Event
from arvo_event_store._lease import Blocked, Done, Lease, Parked, Postponed, Retried
from arvo_event_store._telemetry import TRACEPARENT
from arvo_time import Backoff
from arvo_time.logs import bounded_logger

from ._acknowledgement import Acknowledgement, EndedLeaseError, RunContext, Tried
from ._call import Reject
from ._calling import called
from ._event_consumer import EventConsumer
from ._failure import ReactionFailure
from ._interruption import InterruptedWorkError, Interruption
from ._stage import Stage
from ._telemetry import count_failure, count_lost_lease, count_postponed, handle_span, measure_call
from ._verdict import exhausted, verdict

_CONFLICTS: Final = 10
"""How many conflicts in a row are contention; one more is a failed try, as it may never hold."""
_CONTENTION: Final = Backoff(initial=timedelta(milliseconds=2), maximum=timedelta(milliseconds=250))
_logger = bounded_logger("arvo_event_store")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """Why a part of the window is not done."""

    parts: Sequence[Sequence[Event]]
    """The part, and those after it that are to be handled again."""
    error: Exception
    """What it failed with."""
    final: bool = False
    """Whether no further try would help."""
    refused: bool = False
    """Whether the store refused what was staged."""


class LeaseRun:
    """Hands the events of a lease to the handler, and stores what becomes of them.

    What is staged gathers, and is stored at the end of the window, after a third of the lease's time,
    or at once if an append has an expectation. An event that fails ends the window.

    Args:
        lease: The lease.
        consumer: Its reaction.
        context: What it shares with others.
        until: When the lease ends.
    """

    def __init__(
        self, lease: Lease, consumer: EventConsumer, context: RunContext, *, until: datetime
    ) -> None:
        self._lease = lease
        self._consumer = consumer
        self._context = context
        self._interruption = Interruption()
        self._done = Acknowledgement(lease, context, interruption=self._interruption, until=until)
        self._conflicts = 0
        self._contended: str | None = None
        self.more: bool = lease.upto < lease.mark
        """Whether the target may have work as soon as this ends."""
        self.sleeps: bool = False
        """Whether the target waits until it is due."""

    @property
    def lagging(self) -> bool:
        """Whether the target was among those that are furthest behind."""
        return self._lease.lagging

    @property
    def handled(self) -> int:
        """How many events are handled and stored."""
        return self._done.handled

    @property
    def name(self) -> str:
        """The target, for logs."""
        return self._done.name

    def leave(self) -> None:
        """Stop soon: cancel the handler, keep what was handled before, and give the rest back."""
        self._interruption.request()

    def abandon(self) -> None:
        """Let nothing more be stored."""
        self._context.keeper.remove(self._done)
        self._done.lose()

    async def run(self) -> None:
        """Do the work. What fails is stored, reported or logged."""
        self._context.keeper.add(self._done)
        try:
            await self._work()
        except EndedLeaseError:
            self.more = True
        except Exception:
            # Its lease runs out and counts as a try, or this might happen again and again.
            _logger.exception("the work for %s failed", self.name)
        finally:
            self._context.keeper.remove(self._done)
            if self._done.lost:
                self._context.stats.lost += 1
                count_lost_lease(group=self._lease.group, reaction=self._lease.reaction)

    async def _work(self) -> None:
        try:
            await self._window()
        except InterruptedWorkError:
            if not self._done.lost:
                await self._done.give_back()

    # --- the window ---------------------------------------------------------

    async def _window(self) -> None:
        lease = self._lease
        if not lease.events:
            await self._done.store(Done(), at=lease.upto)
            return
        first = lease.events[0]
        if lease.attempt > 1 and self._tries_before(first) > self._consumer.retry.retries:
            await self._give_up_silent(first)
            return
        parts = deque(self._parts())
        while parts:
            if self._interruption.requested:
                raise InterruptedWorkError
            part = parts.popleft()
            problem = await self._part(part, last=not parts)
            if problem is None:
                self._conflicts, self._contended = 0, None
                continue
            failed = problem.parts[0]
            if len(failed) > 1:
                # One by one, so that it is known which of them fails.
                again = [*([event] for event in failed), *problem.parts[1:]]
            elif await self._contends(problem):
                again = [*problem.parts]
            else:
                await self._fail(problem)
                return
            parts.extendleft(reversed(again))

    def _parts(self) -> Sequence[Sequence[Event]]:
        """Return which events are handed out together."""
        events = self._lease.events
        if self._lease.attempt > 1:
            return [[event] for event in events]  # one of them may have killed a worker
        if self._lease.failed and len(events) > 1:
            return [events[:1], *self._consumer.parts(events[1:])]
        return self._consumer.parts(events)

    async def _part(self, events: Sequence[Event], *, last: bool) -> _Problem | None:
        """Handle events, and store what is due; return why they are not done, if they are not."""
        async with self._turn():
            stage = Stage(events[-1])
            problem = await self._call(events, stage)
            if problem is not None:
                return problem
            self._done.add(Tried(events, stage))
            if last:
                refusal = await self._done.store(Done(), at=self._lease.upto)
            elif stage.expects or self._lease.attempt > 1 or self._done.is_due:
                refusal = await self._done.store()
            else:
                return None
        if refusal is None:
            return None
        return _Problem(parts=refusal.left, error=refusal.error, refused=True)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Keep others of this worker away from the stream where a conflict was."""
        if self._contended is None:
            yield
            return
        lock = self._context.turns.at(self._contended)
        await self._interruption.within(lock.acquire())
        try:
            yield
        finally:
            lock.release()

    async def _call(self, events: Sequence[Event], stage: Stage) -> _Problem | None:
        """Call the handler; return how it failed, if it did."""
        consumer = self._consumer
        try:
            data = [consumer.read(event) for event in events]
        except UnknownEventError as error:
            return _Problem(parts=[events], error=error, final=True)
        attempt = self._tries_before(events[0]) + 1
        outcome, started = "cancelled", perf_counter()
        try:
            with handle_span(
                group=self._lease.group,
                reaction=consumer.name,
                events=len(events),
                attempt=attempt,
                caused_by=(event.meta.get(TRACEPARENT) for event in events),
            ):
                calling = called(
                    consumer,
                    events,
                    data,
                    lease=self._lease,
                    attempt=attempt,
                    deadline=lambda: self._done.until,
                    log=self._context.store,
                    stage=stage,
                )
                returned = await self._interruption.within(calling)
            if returned is not None:
                raise TypeError(f"a handler must return nothing, got {returned!r}; use `emit`")
            outcome = "ok"
        except InterruptedWorkError:
            raise
        except Exception as error:
            outcome = "error"
            return _Problem(parts=[events], error=error, final=isinstance(error, Reject))
        finally:
            stage.close()
            measure_call(
                perf_counter() - started,
                group=self._lease.group,
                reaction=consumer.name,
                outcome=outcome,
            )
        return None

    async def _contends(self, problem: _Problem) -> bool:
        """Return whether a problem is that somebody else appended first; wait if it is again."""
        if not problem.refused or not isinstance(problem.error, ConflictError):
            return False
        if self._conflicts == _CONFLICTS:
            return False
        self._context.stats.contended += 1
        self._contended = problem.error.stream
        if self._conflicts:
            pause = _CONTENTION.delay(self._conflicts - 1, random=self._context.random)
            await self._interruption.within(self._context.clock.sleep(pause))
        self._conflicts += 1
        return True

    # --- failures -----------------------------------------------------------

    def _is_first(self, event: Event) -> bool:
        return event.position == self._lease.events[0].position

    def _tries_before(self, event: Event) -> int:
        """Return how many tries of an event there were, those of workers that died included."""
        return self._lease.failed + self._lease.attempt - 1 if self._is_first(event) else 0

    async def _fail(self, problem: _Problem) -> None:
        """Store what becomes of an event that failed, with what was handled before it."""
        (event,) = problem.parts[0]
        then = verdict(
            self._consumer,
            position=event.position,
            error=problem.error,
            failed_before=self._lease.failed if self._is_first(event) else 0,
            tries_before=self._tries_before(event),
            final=problem.final,
            random=self._context.random,
        )
        refusal = await self._done.store(then)
        if refusal is None:
            await self._end(then, problem.error)
            return
        # One before it was refused, and is the one that fails.
        await self._fail(_Problem(parts=refusal.left, error=refusal.error, refused=True))

    async def _give_up_silent(self, event: Event) -> None:
        """Give up an event whose tries all ended without a word."""
        error = RuntimeError(
            f"its lease ended {self._lease.attempt - 1} times without a word: a worker died in the "
            "handler, or the handler kept it from renewing the lease"
        )
        then = exhausted(
            self._consumer,
            position=event.position,
            error=error,
            failed=self._tries_before(event),
        )
        await self._done.store(then)
        await self._end(then, error)

    async def _end(self, then: Postponed | Retried | Blocked | Parked, error: Exception) -> None:
        """Count and report what became of an event."""
        lease, stats = self._lease, self._context.stats
        outcome: Literal["retried", "blocked", "parked"]
        match then:
            case Postponed():
                stats.postponed += 1
                count_postponed(group=lease.group, reaction=lease.reaction)
                self.sleeps = True
                return
            case Retried():
                stats.retried += 1
                self.sleeps, self.more = bool(then.after), not then.after
                outcome = "retried"
            case Blocked():
                stats.blocked += 1
                self.more = False
                outcome = "blocked"
            case Parked():
                stats.parked += 1
                self.more = True
                outcome = "parked"
        count_failure(outcome, group=lease.group, reaction=lease.reaction)
        await self._context.report(
            ReactionFailure(
                group=lease.group,
                reaction=lease.reaction,
                key=lease.key,
                position=then.position,
                error=error,
                failed=then.failed,
                outcome=outcome,
            )
        )
