"""What a step does to the timers of its workflow."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from arvo_core import ArvoEvent
from arvo_event_handler._emission._moment import moment
from arvo_event_handler._errors import ConfigViolation, ContractViolation
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory._kept_event import event_hash
from arvo_event_handler.memory._memory import IMachineMemory
from arvo_event_handler.memory._next_timer import UNCHANGED, NextTimer, Unchanged
from arvo_event_handler.memory._pending_timers import (
    NO_TIMERS,
    PendingTimer,
    earliest_timer,
    timer_key,
    timer_name,
)
from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._timed_memory import ITimedMachineMemory
from arvo_time import Clock

from ._control_events import Tick
from ._workflow import FiredTimer, NewTimer, StepOutcome, TimerChanges, WorkflowStep

DEADLINE: Final = "arvo.deadline"
"""The name of the timer that ends a workflow, and of no other."""
_DEADLINE_EXTENSION: Final = "deadline"
_MOST_TIMERS: Final = 256
_NO_CHANGES: Final = TimerChanges()


class WorkflowDeadlineExceeded(Exception):
    """The workflow has not ended in time; what the initiator reads as the error's name."""


class TimersAfterStep(NamedTuple):
    """The timers that a step leads to."""

    timers: Mapping[str, PendingTimer]
    delayed: Sequence[str] = ()
    """The ids of requests that leave later."""
    dropped: Sequence[str] = ()
    """The ids of earlier such requests that were cancelled."""


def check_indexed(memory: IMachineMemory, *, where: str, what: str) -> None:
    """Check that a memory has an index of what is due.

    Args:
        memory: The memory.
        where: The workflow.
        what: What needs the index.

    Raises:
        ConfigViolation: It has none.
    """
    if not isinstance(memory, ITimedMachineMemory):
        raise _lacks_index(memory, where=where, what=what)


def _lacks_index(memory: IMachineMemory, *, where: str, what: str) -> ConfigViolation:
    return ConfigViolation(
        f"{where}: {what} needs a machine memory with an index of what is due, and "
        f"{type(memory).__name__} has none; use ConcurrentMachineMemory, SqliteMachineMemory, "
        "PostgresMachineMemory or RedisMachineMemory"
    )


class WorkflowTimers:
    """The timers of one handler's workflows.

    Args:
        memory: Where the workflows live.
        requests: Whether the event of a timer is a request that leaves later; else a machine takes it.
        deadline: How long they may take from the time of their init event; None for any time.
        clock: Says what time it is.
        where: What an error calls the handler.
    """

    def __init__(
        self,
        memory: IMachineMemory,
        *,
        requests: bool,
        deadline: timedelta | None,
        clock: Clock,
        where: str,
    ) -> None:
        self._memory = memory
        self._requests = requests
        self._indexed = isinstance(memory, ITimedMachineMemory)
        self._deadline = deadline
        self._clock = clock
        self._where = where
        self.watchers: list[Callable[[datetime], None]] = []
        """Called with the time of a timer that has become the earliest of its workflow."""

    def pending(self, tick: Tick, state: WorkflowState) -> FiredTimer | None:
        """Return the timer that a tick fires; None when it is not pending."""
        timer = state.timers.get(tick.key)
        if timer is None:
            return None
        return FiredTimer(tick.key, timer_name(tick.key), timer.at, timer.event, tick.due_by)

    def after(self, step: WorkflowStep, outcome: StepOutcome) -> TimersAfterStep | None:
        """Return the timers that a step leads to; None where it leaves them as they are.

        Raises:
            ContractViolation: A timer is too far ahead, or there are too many.
            ConfigViolation: The memory has no index.
        """
        state = step.state
        begins = step.is_retry or (step.is_start and self._has_deadline(step.event))
        if outcome.done:
            return None if state.timers is NO_TIMERS else TimersAfterStep(NO_TIMERS)
        if outcome.timers is None and step.fired is None and not begins:
            self._check_can_fire(state.timers)
            return None
        changes = outcome.timers or _NO_CHANGES
        hashed = event_hash(step.event.source, step.event.id)
        timers = dict(state.timers)
        if begins:
            self._set_deadline(step, timers, hashed)
        if step.fired is not None:
            timers.pop(step.fired.key, None)
        taken = _take_out(timers, {*changes.cancel})
        _set_anew(timers, changes.set, hashed)
        if len(timers) > _MOST_TIMERS:
            raise ContractViolation(
                f"{self._where}: the step leads to {len(timers)} pending timers; "
                f"the limit is {_MOST_TIMERS} for each workflow"
            )
        self._check_can_fire(timers)
        if not self._requests:
            return TimersAfterStep(timers or NO_TIMERS)
        return TimersAfterStep(
            timers or NO_TIMERS, delayed=_request_ids(changes.set), dropped=_request_ids(taken)
        )

    def moved(self, state: WorkflowState) -> NextTimer | Unchanged | None:
        """Return what a commit says about the earliest timer."""
        if state.timers is state.stored_timers:
            return UNCHANGED
        earliest = earliest_timer(state.timers)
        return UNCHANGED if earliest == earliest_timer(state.stored_timers) else earliest

    def committed(self, timer: NextTimer | Unchanged | None) -> None:
        """Notify the watchers of what a commit has said."""
        if isinstance(timer, NextTimer):
            for watcher in [*self.watchers]:
                watcher(timer.at)

    def next_tick(self, step: WorkflowStep) -> list[ArvoEvent]:
        """Return the tick of the next timer, if it was due when that of the step was claimed."""
        fired = step.fired
        if fired is None:
            return []
        earliest = earliest_timer(step.state.timers)
        if earliest is None or earliest.at > fired.due_by:
            return []
        tick = timer_event(
            step.event.subject,
            key=earliest.key,
            at=earliest.at,
            due_by=fired.due_by,
            now=self._clock.now(),
        )
        return [tick]

    def _check_can_fire(self, timers: Mapping[str, PendingTimer]) -> None:
        if timers and not self._indexed:
            raise _lacks_index(self._memory, where=self._where, what="a timer")

    def _has_deadline(self, init: ArvoEvent) -> bool:
        return self._deadline is not None or _DEADLINE_EXTENSION in init.extensions

    def _set_deadline(
        self, step: WorkflowStep, timers: dict[str, PendingTimer], hashed: str
    ) -> None:
        """Set the deadline of a workflow that begins, or anew that of one that is retried."""
        within = self._time_given(step.event) if step.is_start else self._deadline
        pending = next((key for key in timers if timer_name(key) == DEADLINE), None)
        if pending is not None:
            within = timers.pop(pending).within or within
        if within is None:
            return
        begun = self._clock.now() if step.is_retry else _time_of(step.event)
        at = moment(f"{self._where}: {DEADLINE}", at=None, after=within, now=begun)
        timers[timer_key(DEADLINE, hashed)] = PendingTimer(at=at, within=within)

    def _time_given(self, init: ArvoEvent) -> timedelta | None:
        """Return how long a workflow may take; None for any time.

        Raises:
            ContractViolation: The init event says a deadline that is no time.
        """
        said: Any = init.extensions.get(_DEADLINE_EXTENSION)
        if said is None:
            return self._deadline
        try:
            return datetime.fromisoformat(said) - _time_of(init)
        except (TypeError, ValueError) as error:
            raise ContractViolation(
                f"event {init.id!r} of type {init.type!r}: its extension {_DEADLINE_EXTENSION} must "
                f"be a time with a zone, such as 2026-12-01T06:00:00Z, got {said!r}"
            ) from error


def _take_out(timers: dict[str, PendingTimer], names: AbstractSet[str]) -> list[PendingTimer]:
    """Take timers out by their names, and return them; the deadline stays."""
    found = [
        key
        for key, timer in timers.items()
        if timer.named and (name := timer_name(key)) in names and name != DEADLINE
    ]
    return [timers.pop(key) for key in found]


def _request_ids(timers: Iterable[PendingTimer | NewTimer]) -> list[str]:
    return [str(timer.event["id"]) for timer in timers if timer.event is not None]


def _set_anew(timers: dict[str, PendingTimer], new: Iterable[NewTimer], hashed: str) -> None:
    """Set timers in place of those of the same names, each at the end."""
    _take_out(timers, {timer.name for timer in new if timer.named})
    for timer in new:
        key = first = timer_key(timer.name, hashed)
        number = 1
        while key in timers:
            number += 1
            key = f"{first}.{number}"
        timers[key] = PendingTimer(at=timer.at, event=timer.event, named=timer.named)


def _time_of(event: ArvoEvent) -> datetime:
    return datetime.fromisoformat(event.time)
