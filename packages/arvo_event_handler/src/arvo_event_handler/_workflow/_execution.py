"""The life of one event in a stateful handler: subject, lease, state, step, commit, failure.

Orchestrators and resumables both go through here; nothing else touches stored state. Nothing is
published before the commit, a failure before the commit changes nothing, and what was committed
but not published stays in the record's `redelivery`. The promise: a workflow's state and
completion happen once; a service runs at least once and must be idempotent by (source, id).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import Any

from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    EventLimits,
    SubjectContent,
    SystemErrorData,
)
from arvo_event_handler._emission._emission import Emission
from arvo_event_handler._errors import (
    TransactionViolation,
    TransactionViolationCause,
    UnwritableRecordError,
)
from arvo_event_handler._incoming import (
    check_parent_subject,
    own_contract,
    read_input,
    read_subject,
)
from arvo_event_handler._system_error_policy import SystemErrorPolicy
from arvo_event_handler._telemetry import ExecutionTrace
from arvo_event_handler.memory._four_call_memory import FourCallMemory
from arvo_event_handler.memory._memory import (
    ILeasedMachineMemory,
    IMachineMemory,
    MachineLease,
    Record,
    WorkflowMemory,
)
from arvo_event_handler.memory._record_write import RecordWrite
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import TEN_YEARS, check_clock, check_count, check_duration

from ._lease import (
    LeaseKeeper,
    acquire_lease,
    commit_record,
    release_lease,
    write_failure,
)
from ._open_requests import OPEN, Answers, OpenRequests
from ._redelivery import MEMBER, Redelivery
from ._stored_record import (
    answers_by_request,
    has_ended,
    init_event_id,
    parent_subject as stored_parent_subject,
    read_open_requests,
    read_redelivery,
    unanswered,
)
from ._summary import summary_of
from ._workflow import StepOutcome, Workflow, WorkflowFailure, WorkflowStep

# What is kept of a finished workflow: enough to recognise late events and repeat its end.
_TOMBSTONE = (
    "executionStatus", "error", "status", "initEventId", "parentSubject", "subject", MEMBER
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPolicy:
    """How a stateful handler treats its stored state.

    Raises:
        TypeError: `finished_expiry` is neither a timedelta nor None, `redelivery_window` not an
            int, or `clock` not a `Clock`.
        ValueError: `finished_expiry` is negative or zero, or `redelivery_window` below 1.
    """

    redelivery_window: int = 64
    """Maximum number of steps whose unanswered outputs a record keeps; at least 1."""
    finished_expiry: timedelta | None = timedelta(hours=24)
    """How long a leased memory remembers that a workflow has ended. Must outlive the longest
    redelivery delay of the transport; at most ten years. None keeps the full record indefinitely.
    """
    clock: Clock = SYSTEM_CLOCK
    """Times the renewal of leases."""

    def __post_init__(self) -> None:
        check_count(self.redelivery_window, name="redelivery_window", least=1)
        check_clock(self.clock)
        if self.finished_expiry is not None:
            check_duration(
                self.finished_expiry,
                name="finished_expiry",
                above_zero=True,
                most=TEN_YEARS,
            )


class WorkflowExecution:
    """Runs events through one workflow over one machine memory.

    Args:
        workflow: The workflow.
        memory: Where its state lives.
        locking: Whether to lock a memory that offers only the four calls.
        answers: Which answers are accepted.
        system_errors: How a failure is described to the workflow's initiator.
        policy: How stored state is treated.
        limits: How deep the data of outgoing events may be.
    """

    def __init__(
        self,
        workflow: Workflow,
        *,
        memory: IMachineMemory,
        locking: bool,
        answers: Answers,
        system_errors: SystemErrorPolicy,
        policy: ExecutionPolicy,
        limits: EventLimits,
    ) -> None:
        self._workflow = workflow
        self._type = workflow.contract.type
        self._leased = memory if isinstance(memory, ILeasedMachineMemory) else None
        self._memory: WorkflowMemory = (
            FourCallMemory(memory, locking=locking) if self._leased is None else self._leased
        )
        self._answers = answers
        self._system_errors = system_errors
        self._policy = policy
        self._limits = limits

    async def run(self, event: ArvoEvent, trace: ExecutionTrace) -> list[ArvoEvent]:
        """Handle one event and return the events to publish.

        Raises:
            ExecutionViolation: The event's subject or its parent's is not an orchestration
                subject; or the event does not answer an open request, where only such answers
                are accepted.
            ContractViolation: The event or an output does not match its contract.
            ConfigViolation: The event's version or type is unknown to the workflow, or an output
                is wired up wrongly.
            TransactionViolation: The state could not be loaded or stored; `cause` says why.
            ViolationError: User code raised one.
        """
        content = read_subject(event)
        if content.orchestrator.name != self._type:
            return []
        lease = await self._acquire(event.subject, trace)
        keeper: LeaseKeeper | None = None
        committed = False
        try:
            repeated = self._answer_without_step(event, lease.record)
            if repeated is not None:
                return repeated
            step = self._prepare(event, content, lease.record, trace)
            if self._leased is not None:
                keeper = LeaseKeeper(self._leased, lease, clock=self._policy.clock)
            events, record = await self._react(step)
            # The version decides, not the lease, which may have expired meanwhile.
            events = await self._store(lease, step, events, record)
            committed = True
            return events
        finally:
            if keeper is not None:
                keeper.stop()
            if not committed:
                await release_lease(self._memory, lease)

    async def _acquire(self, subject: str, trace: ExecutionTrace) -> MachineLease:
        started = perf_counter()
        lease = await acquire_lease(self._memory, subject)
        trace.lock_acquired(perf_counter() - started, source=self._type)
        if lease is None:
            raise TransactionViolation(
                "another event of this workflow is being handled; deliver this one again",
                cause=TransactionViolationCause.LOCK_UNACQUIRED,
                subject=subject,
            )
        return lease

    def _answer_without_step(
        self, event: ArvoEvent, record: Record | None
    ) -> list[ArvoEvent] | None:
        """Return what to publish when the event changes nothing; None when it must be handled."""
        is_init = event.type == self._type
        if record is None:
            return None if is_init else []
        redelivery = read_redelivery(record, event.subject)
        if redelivery.has_seen(event, is_init=is_init):
            return unanswered(redelivery, event, is_init=is_init)
        return [] if has_ended(record, event.subject) or is_init else None

    def _prepare(
        self,
        event: ArvoEvent,
        content: SubjectContent,
        record: Record | None,
        trace: ExecutionTrace,
    ) -> WorkflowStep:
        contract = own_contract(event, content, self._workflow.contract)
        trace.applies(contract)
        parent_subject = _parent_subject(event, record)
        services = self._workflow.services(contract.version)
        service, data = read_input(event, contract=contract, services=services)
        requests = self._open_requests(record, event.subject)
        if record is None:
            check_parent_subject(event, parent_subject)
        elif requests is not None and service is not None:
            requests.check(event, service)
        answers = answers_by_request(record, event.subject)
        return WorkflowStep(
            event=event,
            content=content,
            contract=contract,
            service=service,
            data=data,
            record=record,
            answers=answers,
            init_event_id=init_event_id(event, record),
            parent_subject=parent_subject,
            emission=Emission(
                source=contract.type,
                contract=contract,
                executionunits=self._workflow.executionunits,
                event=event,
                headers=trace.headers,
                limits=self._limits,
                parent_subject=parent_subject,
                awaited=_awaited(answers, event),
            ),
            trace=trace,
            consumed=event.to_dict(),
            requests=requests,
        )

    def _open_requests(self, record: Record | None, subject: str) -> OpenRequests | None:
        """Return the requests that a workflow waits for; None when it accepts any answer."""
        if self._answers == "any":
            return None
        return OpenRequests() if record is None else read_open_requests(record, subject)

    async def _react(self, step: WorkflowStep) -> tuple[list[ArvoEvent], Record]:
        """Run the workflow's own code and compose the record it leads to."""
        try:
            outcome = await self._workflow.step(step)
        except WorkflowFailure as failure:
            return self._fail(step, failure.error)
        return list(outcome.events), self._record(step, outcome)

    def _record(self, step: WorkflowStep, outcome: StepOutcome) -> Record:
        outputs = [event.to_dict() for event in outcome.events]
        record: Record = {
            "executionStatus": "normal",
            "status": "done" if outcome.done else "active",
            "initEventId": step.init_event_id,
            "parentSubject": step.parent_subject,
            "subject": step.event.subject,
            **outcome.members,
        }
        events = record.get("events")
        record["events"] = {
            **(events if isinstance(events, dict) else {}),
            "consumed": step.consumed,
            "produced": list(outputs),
        }
        record[MEMBER] = self._redelivery_after(step, outputs)
        return record

    def _fail(self, step: WorkflowStep, error: Exception) -> tuple[list[ArvoEvent], Record]:
        """Turn an exception of user code into system errors and a failure record."""
        step.trace.failed(error, event=step.event, source=step.contract.type)
        events = step.emission.system_error(
            self._system_errors.describe(error),
            to=step.content.execution.initiator,
            parentid=step.init_event_id,
            domains=self._workflow.domains.system_error,
        )
        described = SystemErrorData.from_exception(error)
        status = "active" if step.record is None else step.record.get("status", "active")
        return events, {
            "executionStatus": "failure",
            "status": status,
            "initEventId": step.init_event_id,
            "parentSubject": step.parent_subject,
            "subject": step.event.subject,
            "error": {
                "name": described.error_name,
                "message": described.error_message,
                "stack": described.error_stack,
            },
            MEMBER: self._redelivery_after(step, [event.to_dict() for event in events]),
        }

    def _redelivery_after(self, step: WorkflowStep, outputs: list[dict[str, Any]]) -> Any:
        # Read again, as a step that cannot be stored is followed by one for its failure.
        redelivery = Redelivery.of(step.record)
        window = self._policy.redelivery_window
        if redelivery.advance(step.event, outputs, window=window):
            step.trace.warn(
                "outputs that may not have arrived were dropped from the record, which keeps those "
                f"of redelivery_window ({window}) steps and at most 64 KiB"
            )
        member = redelivery.member()
        if step.requests is not None:
            services = self._workflow.services(step.contract.version)
            member[OPEN] = step.requests.after(step.event, outputs, services=services).member()
        return member

    async def _store(
        self, lease: MachineLease, step: WorkflowStep, events: list[ArvoEvent], record: Record
    ) -> list[ArvoEvent]:
        """Commit, and return what may be published now.

        A record that can never be written ends the workflow. Any other error of a write is the
        backend's, and the workflow goes on after it.
        """
        try:
            await self._commit(lease, step, record)
        except UnwritableRecordError as error:
            events, failure = self._fail(step, error)
            try:
                await self._commit(lease, step, failure)
            except UnwritableRecordError as second:
                raise write_failure(step.event.subject, second) from second
        return events

    async def _commit(self, lease: MachineLease, step: WorkflowStep, record: Record) -> None:
        summary = summary_of(step, record)
        finished = record["executionStatus"] == "failure" or record["status"] == "done"
        expires_in = self._policy.finished_expiry if finished and self._leased is not None else None
        if expires_in is not None:
            record = {name: record[name] for name in _TOMBSTONE if name in record}
        write = RecordWrite(record=record, summary=summary, expires_in=expires_in)
        await commit_record(self._memory, lease, write)


def _parent_subject(event: ArvoEvent, record: Record | None) -> str | None:
    if record is not None:
        return stored_parent_subject(record, event.subject)
    parent = event.data.get(PARENT_SUBJECT)
    return parent if isinstance(parent, str) else None


def _awaited(answers: Mapping[str, list[Any]] | None, event: ArvoEvent) -> list[str]:
    """Return the ids of unanswered requests; this event counts as an answer."""
    return [
        request
        for request, collected in (answers or {}).items()
        if not collected and request != event.parentid
    ]
