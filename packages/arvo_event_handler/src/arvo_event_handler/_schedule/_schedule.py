"""Schedules: handlers that emit an event at each time of a cron expression."""

import base64
import zlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Final, get_args

from opentelemetry.context import Context
from pydantic_core import to_json
from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    InvalidContractError,
    OrchestratorVersion,
    VersionedArvoContract,
)
from arvo_core.telemetry import ArvoSpanKind
from arvo_event_handler._construction_checks import services_by_type
from arvo_event_handler._errors import ExecutionViolation
from arvo_event_handler._handler import SelfStarting
from arvo_event_handler._workflow._execution_policy import ExecutionPolicy
from arvo_event_handler._workflow._timers import check_indexed
from arvo_event_handler._workflow._workflow_handler import WorkflowHandler
from arvo_event_handler.memory._memory import IMachineMemory
from arvo_event_handler.memory._record import read_head
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_callable, given_or, is_async

from ._schedule_workflow import (
    PLANNED,
    PLANNING,
    PLANNING_V1,
    ArvoScheduleFunction,
    MissedTimes,
    Plan,
    ScheduleWorkflow,
    read_schedule,
)
from ._timetable import Timetable

_logger = bounded_logger("arvo_event_handler")

_VERSION: Final = "1.0.0"


class ArvoSchedule(WorkflowHandler, SelfStarting):
    """Emits an event at each time that a cron expression names in a time zone.

    Give it to a broker, or have `arvo worker` find it among the target's handlers: it begins by
    itself. It is a workflow with one record, under its name. The record holds the next planned time,
    and a timer for it, so any number of workers may share a schedule, and each planned time has one
    event. That event's id follows from the name and the planned time.

    A service's answers come back to the schedule, which logs a system error as a warning. A workflow
    that it starts belongs to no other one. What was planned while nothing ran is made up for as
    `missed` says.

    Needs `pip install "arvo-event-handler[schedule]"`, and a broker that fires timers:
    `ConcurrentEventBroker` or `DistributedEventBroker`.

    Args:
        name: Identifies the schedule in its memory; segments of a-z and 0-9 joined by dots. Its
            address is `arvo.orc.schedule.<name>`.
        cron: Five fields: minute, hour, day of the month, month, day of the week. When clocks change,
            a fixed time that is skipped is due at the change, and one that comes twice is due the
            first time; minutes or hours that begin with a star follow the hours that there are.
        zone: The name of a time zone, such as Europe/Vienna. Another `cron` or `zone` than that of
            the record holds from the next start on, and for times after it.
        services: The contract versions that `emit` may ask; contracts must be unique.
        emit: A function of the planned time, in the schedule's zone, that returns the event for it,
            or None for none. If it raises, or returns something else, nothing is stored, and its
            planned time is due again, first after 30 seconds and then after twice as long, up to an
            hour.
        missed: Which of the planned times that are late by more than a minute have their event all
            the same: the `latest` of them; `all`, the last 1,000 at most; or `none`.
        memory: Where its record lives; one with an index of what is due.
        policy: How its record is treated; None for the defaults. A schedule that was cancelled stays
            so, whatever `failed_expiry` says.

    Raises:
        ModuleNotFoundError: cronsim is not installed.
        ConfigViolation: A service is not a contract in one of its versions, two services share a
            URI or a type, or `memory` is not a machine memory with an index of what is due.
        TypeError: A setting is of another type than its parameter, or `emit` is async.
        ValueError: `name`, a field of `cron`, `zone` or `missed` is wrong, or no day has the date
            that `cron` names.

    Example:
        >>> from arvo_concurrent import ConcurrentMachineMemory
        >>> class Report(BaseModel):
        ...     day: str
        >>> V1 = SimpleVersion("1.0.0", accepts=Report, emits=Report)
        >>> REPORT = SimpleArvoContract(uri="#/org/report", type="org.report", versions=[V1])
        >>> nightly = ArvoSchedule(
        ...     name="nightly",
        ...     cron="0 6 * * *",
        ...     zone="Europe/Vienna",
        ...     services=[REPORT.version(V1)],
        ...     emit=lambda planned: Emit("com.org.report", Report(day=str(planned.date()))),
        ...     memory=ConcurrentMachineMemory(),
        ... )
        >>> nightly.source
        'arvo.orc.schedule.nightly'
    """

    def __init__(
        self,
        *,
        name: str,
        cron: str,
        zone: str,
        services: Iterable[VersionedArvoContract[Any]],
        emit: ArvoScheduleFunction,
        missed: MissedTimes = "latest",
        memory: IMachineMemory,
        policy: ExecutionPolicy | None = None,
    ) -> None:
        where = f"ArvoSchedule {name!r}"
        contract, version = _contract(name)
        try:
            Timetable(cron, zone)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from error
        check_callable(emit, name=f"{where}: emit")
        if is_async(emit):
            raise TypeError(
                f"{where}: emit must be a plain function, got the async {emit!r}; do what takes time "
                "in the service that it asks"
            )
        if missed not in get_args(MissedTimes):
            raise ValueError(f'{where}: missed must be "latest", "all" or "none", got {missed!r}')
        policy = given_or(policy, default=ExecutionPolicy(), name=f"{where}: policy")
        asked = services_by_type(contract, services)
        super().__init__(
            ScheduleWorkflow(
                contract=contract,
                name=name,
                services=asked,
                emit=emit,
                missed=missed,
                clock=policy.clock,
            ),
            label="Schedule",
            kind=ArvoSpanKind.RESUMABLE,
            memory=memory,
            requires_resource_locking=True,
            answers="any",
            system_errors=None,
            policy=replace(policy, failed_expiry=None),
            limits=None,
        )
        check_indexed(memory, where=where, what="a schedule")
        self.name: str = name
        """Identifies it in its memory."""
        self.subject: str = _subject(contract.type, name)
        """The subject of its only workflow."""
        self._asked = tuple(asked.values())
        self._starts = ArvoOrchestratorEventFactory(contract.version(version))
        self._plan = Plan(cron=" ".join(cron.split()), zone=zone)

    @property
    @override
    def asked_services(self) -> Collection[VersionedArvoContract[Any]]:
        """The services that `emit` may ask."""
        return self._asked

    @override
    async def begin(self) -> None:
        """Set the timer for the first planned time, or for that of another plan; else do nothing.

        Brokers await it when they begin to fire timers.

        Raises:
            TransactionViolation: The record could not be loaded or stored, or another worker is
                about to; `cause` says which.
            MachineMemoryError: The memory failed.
        """
        record = await self.memory.read(self.subject)
        if record is None:
            await self.execute(
                self._starts.init(source=self.source, subject=self.subject, data=self._plan)
            )
            return
        state = read_head(record, self.subject)
        if state.ended:
            _logger.warning(
                "the schedule %s was cancelled or has failed, so it emits nothing; `arvo workflow show` "
                "says which. `arvo workflow retry` goes on with one that failed; one that was "
                "cancelled needs another name",
                self.name,
            )
            return
        kept = read_schedule(state)
        if state.timers and Plan(cron=kept.cron, zone=kept.zone) == self._plan:
            return
        await self.execute(
            ArvoEventFactory(PLANNING.version(PLANNING_V1)).emits(
                type=PLANNED,
                source=PLANNING.type,
                subject=self.subject,
                to=self.source,
                data=self._plan,
            )
        )

    @override
    async def execute(
        self, event: ArvoEvent, *, redelivered: bool = True, parent: Context | None = None
    ) -> list[ArvoEvent]:
        """Advance the schedule by one event, as `ArvoResumable.execute`.

        Args:
            event: A tick of its timer, an answer, or an event that `WorkflowControl` makes.
            redelivered: Whether an earlier delivery of the event may have been lost.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ExecutionViolation: `emit` raised, or the event is for another workflow of its type.
            ContractViolation: The event does not match its contract, or `emit` returned something
                that is not an event of its services.
            ConfigViolation: The event's type is unknown.
            TransactionViolation: The record could not be loaded or stored; `cause` says why.
        """
        return await super().execute(self._own(event), redelivered=redelivered, parent=parent)

    def _own(self, event: ArvoEvent) -> ArvoEvent:
        """Return an event under the subject of the schedule."""
        if event.subject == self.subject or not ArvoOrchestrationSubject.is_valid(event.subject):
            return event
        if ArvoOrchestrationSubject.parse(event.subject).orchestrator.name == self.source:
            raise ExecutionViolation(
                f"event {event.id!r} of type {event.type!r} is for another workflow of "
                f"{self.source}, and the schedule has one alone; leave its start to the broker"
            )
        # The answer of a workflow that it has started, which has a subject of its own.
        return event.model_copy(update={"subject": self.subject})


def _contract(name: object) -> tuple[ArvoOrchestratorContract, OrchestratorVersion[Plan, Plan]]:
    if not isinstance(name, str):
        raise TypeError(f"ArvoSchedule: name must be a str, got {name!r}")
    version = OrchestratorVersion(_VERSION, init=Plan, complete=Plan)
    try:
        contract = ArvoOrchestratorContract(
            uri=f"#/arvo/schedule/{name}", name=f"schedule.{name}", versions=[version]
        )
    except InvalidContractError as error:
        raise ValueError(
            f"ArvoSchedule: the name {name!r:.100} must be segments of a-z and 0-9 joined by dots"
        ) from error
    return contract, version


def _subject(source: str, name: str) -> str:
    """Return the subject of a schedule, the same on every machine.

    Not deflated, as other subjects are: what deflates them differs from one zlib to another, and two
    workers with two subjects would be two schedules.
    """
    content = {
        "orchestrator": {"name": source, "version": _VERSION},
        "execution": {"id": name, "initiator": source, "domain": None},
        "meta": {},
    }
    return base64.b64encode(zlib.compress(to_json(content), level=0)).decode("ascii")
