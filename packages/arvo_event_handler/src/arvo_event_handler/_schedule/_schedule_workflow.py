"""What a schedule does when it begins, when its timer is due, and when what it asked is answered."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Strict, ValidationError
from typing_extensions import override

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoOrchestratorContract,
    ContractVersion,
    SystemErrorData,
    VersionedArvoContract,
)
from arvo_core.event_id import derive_id
from arvo_event_handler._emission._domain import EmissionDomains
from arvo_event_handler._emission._emit import Emit
from arvo_event_handler._emission._moment import LONGEST_DELAY, moment
from arvo_event_handler._errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    raise_violation,
)
from arvo_event_handler._workflow._stored_record import unreadable
from arvo_event_handler._workflow._workflow import (
    FiredTimer,
    NewTimer,
    StepOutcome,
    TimerChanges,
    Workflow,
    WorkflowStep,
)
from arvo_event_handler.memory._record import CONTEXT
from arvo_event_handler.memory._state import WorkflowState
from arvo_time import Clock
from arvo_time.logs import bounded_logger

from ._timetable import Timetable, timetable

MissedTimes: TypeAlias = Literal["latest", "all", "none"]
"""Which of the planned times that passed while nothing ran are made up for."""
ArvoScheduleFunction: TypeAlias = Callable[[datetime], Emit | None]
"""A function of the planned time, in the schedule's zone, that returns the event for it, or None."""

_logger = bounded_logger("arvo_event_handler")

TIMER: Final = "planned"
"""The name of a schedule's only timer."""
_ON_TIME: Final = timedelta(minutes=1)
"""How late an event may be that was not missed: brokers need a second, or half a minute."""
_MOST_MISSED: Final = 1000
"""How many missed times are made up for."""
_TOGETHER: Final = 100
"""How many events one step emits at most; the next step follows immediately."""
_COUNTED_TOGETHER: Final = 500
"""How many times are counted before others may run."""


class Plan(BaseModel):
    """When a schedule is due."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    cron: Annotated[str, Strict()]
    zone: Annotated[str, Strict()]


class ScheduleState(Plan):
    """What the record of a schedule keeps."""

    next: AwareDatetime | None
    """The next planned time; None when there is none for 50 years."""
    last: AwareDatetime | None = None
    """The last planned time that `emit` was called for; None before the first."""


PLANNED: Final = "arvo.schedule.planned"
"""The type of the event that gives a schedule another plan."""
PLANNING_V1: Final = ContractVersion("1.0.0", accepts=Plan, emits={PLANNED: Plan})
PLANNING: Final = ArvoContract(
    uri="#/arvo/schedule/plan", type="arvo.schedule.plan", versions=[PLANNING_V1]
)
"""Gives a schedule another plan, as if it were a service that answers: the handler does, as it begins."""
_PLANNER: Final = PLANNING.version(PLANNING_V1)


def planned_id(name: str, time: datetime) -> str:
    """Return the id of the event for a planned time of a schedule."""
    return derive_id(name, time.astimezone(UTC).isoformat())


def read_schedule(state: WorkflowState) -> ScheduleState:
    """Return what the record of a schedule keeps.

    Raises:
        TransactionViolation: It is damaged.
    """
    try:
        return ScheduleState.model_validate(state.members.get(CONTEXT))
    except ValidationError as error:
        raise unreadable(state.subject, f"what it keeps of the schedule: {error}") from error


class ScheduleWorkflow(Workflow):
    """Emits an event for each planned time, and sets the timer for the next.

    Args:
        contract: The contract that stands for the schedule.
        name: The schedule's name.
        services: What it may ask, by the event type they accept.
        emit: Makes the event for a planned time.
        missed: Which missed times are made up for.
        clock: Says what time it is.
    """

    def __init__(
        self,
        *,
        contract: ArvoOrchestratorContract,
        name: str,
        services: Mapping[str, VersionedArvoContract[Any]],
        emit: ArvoScheduleFunction,
        missed: MissedTimes,
        clock: Clock,
    ) -> None:
        self._contract = contract
        self._name = name
        self._asked = services
        self._services = MappingProxyType({**services, PLANNING.type: _PLANNER})
        self._emit = emit
        self._missed = missed
        self._clock = clock

    @property
    @override
    def contract(self) -> ArvoOrchestratorContract:
        return self._contract

    @override
    def services(self, version: str) -> Mapping[str, VersionedArvoContract[Any]]:
        return self._services

    @property
    @override
    def executionunits(self) -> float:
        return 0

    @property
    @override
    def domains(self) -> EmissionDomains:
        return EmissionDomains()

    @property
    @override
    def collects(self) -> bool:
        return False

    @override
    async def step(self, step: WorkflowStep) -> StepOutcome:
        if step.fired is not None:
            return await self._fire(step, step.fired)
        if step.is_start or (step.service is not None and step.service.uri == PLANNING.uri):
            return self._plan(step)
        if isinstance(step.data, SystemErrorData):
            _logger.warning(
                "the schedule %s: %s has failed: %s: %s",
                self._name,
                step.event.source,
                step.data.error_name,
                step.data.error_message,
            )
        return StepOutcome(events=(), done=False, members={})

    def _plan(self, step: WorkflowStep) -> StepOutcome:
        """Follow a plan from now on."""
        plan: Plan = step.data
        last = None
        if not step.is_start:
            kept = read_schedule(step.state)
            if step.state.timers and (kept.cron, kept.zone) == (plan.cron, plan.zone):
                return StepOutcome(events=(), done=False, members={})  # another worker was faster
            last = kept.last
        following = self._table(plan).after(self._clock.now())
        return self._waits(
            ScheduleState(cron=plan.cron, zone=plan.zone, next=following, last=last), events=()
        )

    async def _fire(self, step: WorkflowStep, fired: FiredTimer) -> StepOutcome:
        kept = read_schedule(step.state)
        # One that was fired by hand, or by a memory whose clock is ahead, is due all the same.
        now = max(self._clock.now(), fired.at)
        if kept.next is None or kept.next > now:
            return self._waits(kept, events=())  # too far ahead for a single timer
        table = self._table(kept)
        times = await self._due(step, table, kept.next, now)
        together, later = times[:_TOGETHER], times[_TOGETHER:]
        events = [event for time in together for event in self._emitted(step, table, time)]
        following = later[0] if later else table.after(now)
        last = together[-1] if together else kept.last
        return self._waits(
            ScheduleState(cron=kept.cron, zone=kept.zone, next=following, last=last), events=events
        )

    async def _due(
        self, step: WorkflowStep, table: Timetable, first: datetime, now: datetime
    ) -> Sequence[datetime]:
        """Return the planned times to emit events for, oldest first."""
        if self._missed == "latest":
            return [table.latest(since=first, until=now)]
        times = [first]
        if self._missed == "none" and now - first > _ON_TIME:
            # Just before those in time: one that is late by exactly a minute is not missed.
            times, first = [], now - _ON_TIME - timedelta(microseconds=1)
        for time in table.times_after(first):
            if time > now:
                break
            times.append(time)
            if len(times) % _COUNTED_TOGETHER == 0:
                await asyncio.sleep(0)
        dropped = len(times) - _MOST_MISSED
        if dropped > 0:
            text = (
                f"the schedule {self._name} has missed {len(times)} planned times; it drops the "
                f"oldest {dropped}, from {table.local(times[0]).isoformat()} to "
                f"{table.local(times[dropped - 1]).isoformat()}, and makes up for the last "
                f"{_MOST_MISSED}"
            )
            _logger.warning("%s", text)
            step.trace.warn(text)
            del times[:dropped]
        return times

    def _emitted(self, step: WorkflowStep, table: Timetable, time: datetime) -> list[ArvoEvent]:
        local = table.local(time)
        where = f"the schedule {self._name}: emit for {local.isoformat()}"
        try:
            returned: object = self._emit(local)
        except Exception as error:
            raise_violation(error)
            # A schedule does not end by one mistake: it waits until the function is mended.
            raise ExecutionViolation(f"{where} raised {type(error).__name__}: {error}") from error
        if returned is None:
            return []
        if not isinstance(returned, Emit):
            if inspect.iscoroutine(returned):
                returned.close()
            raise ContractViolation(
                f"{where} returned {type(returned).__name__}; return Emit(type, data), or None for "
                "no event at this time"
            )
        if returned.id is not None:
            raise ContractViolation(
                f"{where} returned an Emit with an id; leave it out, as the id follows from the "
                "schedule's name and the planned time"
            )
        if returned.is_delayed:
            raise ContractViolation(
                f"{where} returned an Emit that is to leave later; leave at and after out, as a "
                "schedule emits at the planned time"
            )
        if returned.redirectto is not None:
            raise ContractViolation(
                f"{where} returned an Emit with redirectto; leave it out, as the schedule keeps a "
                "request until its answer has come back"
            )
        item = replace(returned, id=planned_id(self._name, time))
        return step.emission.request(item, services=self._asked, domains=(None,), roots=True)

    def _waits(self, kept: ScheduleState, *, events: Sequence[ArvoEvent]) -> StepOutcome:
        """Store a schedule, and set its timer."""
        timers = TimerChanges()
        if kept.next is not None:
            now = self._clock.now()
            at = min(kept.next, now + LONGEST_DELAY)
            at = moment(f"the schedule {self._name}", at=at, after=None, now=now)
            timers = TimerChanges(set=[NewTimer(TIMER, at)])
        return StepOutcome(
            events=events,
            done=False,
            members={CONTEXT: kept.model_dump(mode="json")},
            timers=timers,
        )

    def _table(self, plan: Plan) -> Timetable:
        try:
            return timetable(plan.cron, plan.zone)
        except ValueError as error:
            raise ConfigViolation(f"the schedule {self._name}: {error}") from error
