"""The life of one event in a stateful handler: subject, lease, state, step, commit, failure.

Orchestrators and resumables both go through here; nothing else touches stored state. Nothing is
published before the commit, a failure before the commit changes nothing, and what was committed
but not published stays in the record's `redelivery`. The promise: a workflow's state and
completion happen once; a service runs at least once and must be idempotent by (source, id).
"""

from collections.abc import Mapping, Sequence
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
    VersionedArvoContract,
)
from arvo_event_handler._emission._emission import Emission
from arvo_event_handler._errors import (
    ConfigViolation,
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
from arvo_event_handler.memory._record import tombstone, write_state
from arvo_event_handler.memory._record_write import RecordWrite
from arvo_event_handler.memory._state import KeptEvent, WorkflowEntry, WorkflowState
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import TEN_YEARS, check_clock, check_count, check_duration

from ._lease import (
    LeaseKeeper,
    acquire_lease,
    commit_record,
    release_lease,
    write_failure,
)
from ._open_requests import Answers, OpenRequests
from ._stored_record import (
    stored_open_requests,
    stored_outputs,
    stored_parent_subject,
    stored_workflow,
)
from ._summary import summary_of
from ._workflow import Workflow, WorkflowFailure, WorkflowStep


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
            state = self._state(lease, content)
            repeated = self._answer_without_step(event, state)
            if repeated is not None:
                return repeated
            step = self._prepare(event, content, lease.record, state, trace)
            if self._leased is not None:
                keeper = LeaseKeeper(self._leased, lease, clock=self._policy.clock)
            events, after = await self._react(step)
            # The version decides, not the lease, which may have expired meanwhile.
            events = await self._store(lease, step, events, after)
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

    def _state(self, lease: MachineLease, content: SubjectContent) -> WorkflowState | None:
        """Return what is stored of the workflow; None when it has never run."""
        if lease.record is None:
            return None
        try:
            services = self._workflow.services(content.orchestrator.version)
        except ConfigViolation:
            # Raised again when the event needs a step; one that was seen does not.
            services = {}
        return stored_workflow(lease.record, lease.machine_id, services=_answering(services))

    def _answer_without_step(
        self, event: ArvoEvent, state: WorkflowState | None
    ) -> list[ArvoEvent] | None:
        """Return what to publish when the event changes nothing; None when it must be handled."""
        is_init = event.type == self._type
        if state is None:
            return None if is_init else []
        if state.has_seen(event, is_init=is_init):
            return stored_outputs(state.owed_for(event, is_init=is_init), event.subject)
        return [] if state.ended or is_init else None

    def _prepare(
        self,
        event: ArvoEvent,
        content: SubjectContent,
        record: Record | None,
        state: WorkflowState | None,
        trace: ExecutionTrace,
    ) -> WorkflowStep:
        contract = own_contract(event, content, self._workflow.contract)
        trace.applies(contract)
        is_start = state is None
        if state is None:
            state = _first_state(event)
        parent_subject = state.parent_subject if is_start else stored_parent_subject(state)
        services = self._workflow.services(contract.version)
        service, data = read_input(event, contract=contract, services=services)
        requests = self._open_requests(state, is_start=is_start)
        if is_start:
            check_parent_subject(event, parent_subject)
        elif requests is not None and service is not None:
            requests.check(event, service)
        return WorkflowStep(
            event=event,
            content=content,
            contract=contract,
            service=service,
            data=data,
            record=record,
            state=state,
            emission=Emission(
                source=contract.type,
                contract=contract,
                executionunits=self._workflow.executionunits,
                event=event,
                headers=trace.headers,
                limits=self._limits,
                parent_subject=parent_subject,
                awaited=state.unanswered(but=event.parentid),
            ),
            trace=trace,
            consumed=event.to_dict(),
            requests=requests,
        )

    def _open_requests(self, state: WorkflowState, *, is_start: bool) -> OpenRequests | None:
        """Return the requests that a workflow waits for; None when it accepts any answer."""
        if self._answers == "any":
            return None
        return OpenRequests() if is_start else stored_open_requests(state)

    async def _react(self, step: WorkflowStep) -> tuple[list[ArvoEvent], WorkflowState]:
        """Run the workflow's own code, and return the state it leads to."""
        try:
            outcome = await self._workflow.step(step)
        except WorkflowFailure as failure:
            return self._fail(step, failure.error)
        state = self._posted(step, outcome.events)
        state.status = "done" if outcome.done else "active"
        state.members = {**state.members, **outcome.members}
        return list(outcome.events), state

    def _fail(self, step: WorkflowStep, error: Exception) -> tuple[list[ArvoEvent], WorkflowState]:
        """Turn an exception of user code into system errors and a state of failure."""
        step.trace.failed(error, event=step.event, source=step.contract.type)
        events = step.emission.system_error(
            self._system_errors.describe(error),
            to=step.content.execution.initiator,
            parentid=step.state.init_event_id,
            domains=self._workflow.domains.system_error,
        )
        described = SystemErrorData.from_exception(error)
        state = self._posted(step, events)
        state.failed = True
        state.error = {
            "name": described.error_name,
            "message": described.error_message,
            "stack": described.error_stack,
        }
        return events, state

    def _posted(self, step: WorkflowStep, events: Sequence[ArvoEvent]) -> WorkflowState:
        """Account for a step's event and outputs in its state, and return that."""
        outputs = [event.to_dict() for event in events]
        services = self._workflow.services(step.contract.version)
        answering = _answering(services)
        window = self._policy.redelivery_window
        state = step.state
        entry = WorkflowEntry(
            consumed=KeptEvent.of(step.consumed),
            request=step.event.parentid,
            outputs=[KeptEvent.of(output, asks=output["type"] in answering) for output in outputs],
            collects=self._workflow.collects,
        )
        if state.post(entry, window=window):
            step.trace.warn(
                "outputs that may not have arrived were dropped from the record, which keeps those "
                f"of redelivery_window ({window}) steps and at most 64 KiB"
            )
        # A workflow that accepts any answer keeps none: they would be out of date when it is
        # deployed with `answers="awaited"` again.
        state.open = (
            None
            if step.requests is None
            else step.requests.after(step.event, outputs, services=services).member()
        )
        return state

    async def _store(
        self, lease: MachineLease, step: WorkflowStep, events: list[ArvoEvent], state: WorkflowState
    ) -> list[ArvoEvent]:
        """Commit, and return what may be published now.

        A record that can never be written ends the workflow. Any other error of a write is the
        backend's, and the workflow goes on after it.
        """
        try:
            await self._commit(lease, step, state)
        except UnwritableRecordError as error:
            # Read again, as the step that cannot be stored was accounted for.
            step.state = self._state(lease, step.content) or _first_state(step.event)
            events, failure = self._fail(step, error)
            try:
                await self._commit(lease, step, failure)
            except UnwritableRecordError as second:
                raise write_failure(step.event.subject, second) from second
        return events

    async def _commit(self, lease: MachineLease, step: WorkflowStep, state: WorkflowState) -> None:
        record = write_state(state)
        expires_in: timedelta | None = None
        if state.ended and self._leased is not None:
            expires_in = self._policy.finished_expiry
        if expires_in is not None:
            record = tombstone(record)
        write = RecordWrite(record=record, summary=summary_of(step, state), expires_in=expires_in)
        await commit_record(self._memory, lease, write)


def _first_state(event: ArvoEvent) -> WorkflowState:
    parent = event.data.get(PARENT_SUBJECT)
    return WorkflowState(
        subject=event.subject,
        init_event_id=event.id,
        parent_subject=parent if isinstance(parent, str) else None,
    )


def _answering(services: Mapping[str, VersionedArvoContract[Any]]) -> set[str]:
    """Return the types that services accept, without those of services that emit nothing.

    These are only notified, and to wait for their answers would keep the notifications for ever.
    """
    return {accepted for accepted, service in services.items() if service.emits}
