"""The life of one event in a stateful handler: subject, lease, state, step, commit, failure.

Orchestrators and resumables both go through here; nothing else touches stored state. Nothing is
published before the commit, a failure before the commit changes nothing, and what was committed
but not published is known to the state. The promise: a workflow's state and completion happen
once; a service runs at least once and must be idempotent by (source, id).
"""

from datetime import timedelta
from functools import lru_cache
from time import perf_counter
from typing import Any

from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    ArvoOrchestrationSubject,
    EventLimits,
    InvalidSubjectError,
    SubjectContent,
    SystemErrorData,
    VersionedArvoContract,
)
from arvo_event_handler._emission._emission import Emission
from arvo_event_handler._errors import (
    ConfigViolation,
    ExecutionViolation,
    TransactionViolation,
    TransactionViolationCause,
    UnwritableRecordError,
)
from arvo_event_handler._ignored_events import IgnoredEvents
from arvo_event_handler._incoming import (
    WorkflowInput,
    check_parent_subject,
    own_contract,
    read_input,
    read_subject,
)
from arvo_event_handler._system_error_policy import SystemErrorPolicy
from arvo_event_handler._telemetry import ExecutionTrace
from arvo_event_handler.memory._four_call_memory import FourCallMemory
from arvo_event_handler.memory._kept_event import KeptEvent, event_hash
from arvo_event_handler.memory._memory import (
    ILeasedMachineMemory,
    IMachineMemory,
    MachineLease,
)
from arvo_event_handler.memory._open_requests import OpenRequests
from arvo_event_handler.memory._state import WorkflowState
from arvo_event_handler.memory._step_history import history_of

from ._control import (
    WorkflowCancelled,
    answer_control,
    answer_tick,
    check_known,
    failed_event,
    lost_requests,
    refuse_unreadable,
)
from ._control_events import Cancel, Control, Retry, Tick, Wake, read_control
from ._execution_policy import ExecutionPolicy
from ._held_workflow import HeldWorkflow, NewEntry, WorkflowStore
from ._journal_store import JournalStore
from ._lease import (
    LeaseKeeper,
    acquire_lease,
    load_workflow,
    release_lease,
    write_failure,
)
from ._open_requests import Answers, check_answer
from ._plain_store import PlainStore
from ._step_commit import StepCommit
from ._stored_record import stored_outputs, stored_parent_subject
from ._timers import DEADLINE, WorkflowDeadlineExceeded, WorkflowTimers
from ._workflow import StepOutcome, Workflow, WorkflowFailure, WorkflowStep


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
        deadline: How long a workflow may take; None for any time.
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
        deadline: timedelta | None = None,
    ) -> None:
        self._workflow = workflow
        self._type = workflow.contract.type
        self._ignored = IgnoredEvents(self._type)
        self._leased = memory if isinstance(memory, ILeasedMachineMemory) else None
        self._store: WorkflowStore
        if self._leased is None:
            plain = FourCallMemory(memory, locking=locking)
            self._store = PlainStore(plain, window=policy.redelivery_window)
        else:
            self._store = JournalStore(
                self._leased,
                window=policy.redelivery_window,
                collects=workflow.collects,
                awaited=answers == "awaited",
                warm_bytes=policy.warm_bytes,
            )
        self._history = history_of(self._leased)
        self.timers = WorkflowTimers(
            memory,
            requests=workflow.collects,
            deadline=deadline,
            clock=policy.clock,
            where=workflow.contract.type,
        )
        """The timers of its workflows."""
        self._commit = StepCommit(
            self._store,
            leased=self._leased is not None,
            history=self._history,
            timers=self.timers,
            policy=policy,
        )
        self._answers = answers
        # Bounded: the version is that of an event's subject, which anybody may make up.
        self.answering = lru_cache(maxsize=64)(self._answering_types)
        """See `WorkflowHandler.answering`."""
        self._system_errors = system_errors
        self._policy = policy
        self._limits = limits

    async def run(
        self, event: ArvoEvent, trace: ExecutionTrace, *, redelivered: bool = True
    ) -> list[ArvoEvent]:
        """Handle one event and return the events to publish.

        Args:
            event: The event.
            trace: Watches this.
            redelivered: Whether a seen init event resumes a workflow that has not ended.

        Raises:
            ExecutionViolation: The event's subject or its parent's is not an orchestration
                subject; or the event does not answer an open request, where only such answers
                are accepted.
            ContractViolation: The event or an output does not match its contract.
            ConfigViolation: The event's version or type is unknown to the workflow, an output is
                wired up wrongly, or the deployed code cannot read what is stored.
            TransactionViolation: The state could not be loaded or stored; `cause` says why.
            ViolationError: User code raised one.
        """
        content = read_subject(event)
        if content.orchestrator.name != self._type:
            return []
        control = read_control(event)
        lease = await self._acquire(event.subject, trace)
        held: HeldWorkflow | None = None
        committed = False
        try:
            held = await self._load(lease, content)
            if control is None:
                repeated = self._answer_without_step(event, held.state, redelivered=redelivered)
            else:
                own_contract(event, content, self._workflow.contract)
                repeated = self._answer_control(control, event, held.state, trace)
            if repeated is not None:
                return repeated
            step = self._prepare(event, content, held, trace, control=control)
            # The version decides, not the lease, which may have expired meanwhile.
            ended_by = None if control is None else self._ended_by(control, step)
            if ended_by is not None:
                running = self._fail(lease, held, step, ended_by)
            else:
                running = self._take(lease, held, step)
            if self._leased is None:
                events = await running
            else:
                keeper = LeaseKeeper(self._leased, lease, clock=self._policy.clock)
                events = await keeper.during(running)
            committed = True
            return events
        finally:
            if held is not None:
                held.released()
            if not committed:
                await release_lease(self._store.memory, lease)

    async def owed(self, subject: str) -> list[ArvoEvent]:
        """Return what a workflow has emitted and may not have arrived, oldest first.

        Raises:
            ExecutionViolation: `subject` is not an orchestration subject.
            TransactionViolation: What is stored could not be read; `cause` says why.
        """
        try:
            content = ArvoOrchestrationSubject.parse(subject)
        except InvalidSubjectError as error:
            raise ExecutionViolation(
                f"{subject!r} is not the subject of a workflow: {error}"
            ) from error
        if content.orchestrator.name != self._type:
            return []
        lease = await self._acquire(subject)
        try:
            held = await self._load(lease, content)
            try:
                return [] if held.state is None else stored_outputs(held.state.all_owed(), subject)
            finally:
                held.released()
        finally:
            await release_lease(self._store.memory, lease)

    async def _acquire(self, subject: str, trace: ExecutionTrace | None = None) -> MachineLease:
        started = perf_counter()
        lease = await acquire_lease(self._store, subject)
        if trace is not None:
            trace.lock_acquired(perf_counter() - started, source=self._type)
        if lease is None:
            raise TransactionViolation(
                "another event of this workflow is being handled; deliver this one again",
                cause=TransactionViolationCause.LOCK_UNACQUIRED,
                subject=subject,
            )
        return lease

    async def _load(self, lease: MachineLease, content: SubjectContent) -> HeldWorkflow:
        """Return what is stored of the workflow."""
        try:
            answering = self.answering(content.orchestrator.version)
        except ConfigViolation:
            # Raised again when the event needs a step; one that was seen does not.
            answering = frozenset()
        held = await load_workflow(self._store, lease, answering=answering)
        # A workflow that accepts any answer keeps none open: they would be out of date when it is
        # deployed with `answers="awaited"` again.
        if held.state is not None and self._answers == "any":
            held.state.open = None
        return held

    def _answer_without_step(
        self, event: ArvoEvent, state: WorkflowState | None, *, redelivered: bool
    ) -> list[ArvoEvent] | None:
        """Return what to publish when the event changes nothing; None when it must be handled."""
        is_init = event.type == self._type
        if state is None:
            if is_init:
                return None
            self._ignored.add(event)
            return []
        if state.has_seen(event, is_init=is_init):
            if is_init and not (redelivered or state.ended):
                return []  # whoever started it works on it
            return stored_outputs(state.owed_for(event, is_init=is_init), event.subject)
        return [] if state.ended or is_init else None

    def _answer_control(
        self,
        control: Control,
        event: ArvoEvent,
        state: WorkflowState | None,
        trace: ExecutionTrace,
    ) -> list[ArvoEvent] | None:
        """Return what to publish when a control event changes nothing; None when it does."""
        if isinstance(control, Tick):
            repeated = answer_tick(control, event, state)
            if repeated is not None and not repeated:
                trace.tick_ignored(source=self._type)
            return None if repeated is None else stored_outputs(repeated, event.subject)
        state = check_known(event, state)
        outputs = answer_control(control, event, state)
        asks_again = isinstance(control, Wake | Retry) and (outputs is None or not state.ended)
        if asks_again and (lost := lost_requests(state)):
            trace.warn(f"requests that the record has no copy of are not sent again: {lost}")
        return None if outputs is None else stored_outputs(outputs, event.subject)

    def _ended_by(self, control: Control, step: WorkflowStep) -> Exception | None:
        """Return what ends a workflow without any code of its own; None if nothing does."""
        if isinstance(control, Cancel):
            return WorkflowCancelled(control.reason)
        if isinstance(control, Tick) and step.fired is not None and step.fired.name == DEADLINE:
            return WorkflowDeadlineExceeded(
                f"the workflow had to end by {step.fired.at.isoformat(timespec='milliseconds')}"
            )
        return None

    def _prepare(
        self,
        event: ArvoEvent,
        content: SubjectContent,
        held: HeldWorkflow,
        trace: ExecutionTrace,
        *,
        control: Control | None,
    ) -> WorkflowStep:
        contract = own_contract(event, content, self._workflow.contract)
        trace.applies(contract)
        is_new = held.state is None
        state = held.state or self._first_state(event)
        retries = isinstance(control, Retry)
        if retries:
            event = failed_event(state)
            state.reopen()
        is_start = is_new or (retries and event.type == self._type)
        tick = read_control(event) if retries else control
        fired = self.timers.pending(tick, state) if isinstance(tick, Tick) else None
        parent_subject = state.parent_subject if is_new else stored_parent_subject(state)
        if control is None:
            read = self._read(event, contract, state, is_start=is_start)
        elif retries and fired is None:
            with refuse_unreadable(event):
                read = self._read(event, contract, state, is_start=is_start)
        else:
            read = WorkflowInput(service=None, data=None)
        return WorkflowStep(
            event=event,
            content=content,
            contract=contract,
            service=read.service,
            data=read.data,
            is_start=is_start,
            is_retry=retries,
            state=state,
            emission=Emission(
                source=contract.type,
                contract=contract,
                executionunits=self._workflow.executionunits,
                event=event,
                headers=trace.headers,
                limits=self._limits,
                parent_subject=parent_subject,
                awaited=state.unanswered,
                attempt=None if state.retried is None else state.retried.attempt,
            ),
            trace=trace,
            consumed=event.to_dict(),
            fired=fired,
        )

    def _read(
        self,
        event: ArvoEvent,
        contract: VersionedArvoContract[Any],
        state: WorkflowState,
        *,
        is_start: bool,
    ) -> WorkflowInput:
        """Validate an event for the workflow and parse its data."""
        services = self._workflow.services(contract.version)
        read = read_input(event, contract=contract, services=services)
        if is_start:
            check_parent_subject(event, state.parent_subject)
        elif state.open is not None and read.service is not None:
            check_answer(event, read.service, open_requests=state.open)
        return read

    async def _take(
        self, lease: MachineLease, held: HeldWorkflow, step: WorkflowStep
    ) -> list[ArvoEvent]:
        """Run the workflow's own code, store what follows, and return what may be published now.

        What can never be stored ends the workflow. Any other error of a write is the backend's, and
        the workflow goes on after it.
        """
        clock = None if self._history is None else self._policy.clock
        started = 0.0 if clock is None else clock.monotonic()
        try:
            outcome = await (self._workflow.step if step.fired is None else self._fire)(step)
        except WorkflowFailure as failure:
            return await self._fail(lease, held, step, failure.error)
        took = None if clock is None else timedelta(seconds=clock.monotonic() - started)
        try:
            self._post(held, step, outcome, took=took)
            again = self._asked_again(step) if step.is_retry else self.timers.next_tick(step)
            await self._commit.commit(lease, held, step)
        except UnwritableRecordError as error:
            # Read again, as the step that cannot be stored was accounted for.
            held = await self._load(lease, step.content)
            step.state = held.state or self._first_state(step.event)
            if step.is_retry:
                step.state.reopen()
            return await self._fail(lease, held, step, error)
        return [*outcome.events, *again]

    async def _fire(self, step: WorkflowStep) -> StepOutcome:
        """React to a timer."""
        if step.fired is not None and step.fired.name == DEADLINE:
            # The workflow has failed at its deadline, and is retried.
            return StepOutcome(events=(), done=False, members={})
        return await self._workflow.step(step)

    def _asked_again(self, step: WorkflowStep) -> list[ArvoEvent]:
        """Return what earlier steps wait for, whose answers a failed workflow has ignored."""
        own = {
            output.id for output in step.state.owed.by(event_hash(step.event.source, step.event.id))
        }
        earlier = (output for output in step.state.awaited() if output.id not in own)
        return stored_outputs(earlier, step.event.subject)

    def _post(
        self,
        held: HeldWorkflow,
        step: WorkflowStep,
        outcome: StepOutcome,
        *,
        took: timedelta | None,
    ) -> None:
        """Account for a step's event and outputs in the workflow's state."""
        timers = self.timers.after(step, outcome)
        outputs = [event.to_dict() for event in outcome.events]
        services = self._workflow.services(step.contract.version)
        answering = self.answering(step.contract.version)
        asks: list[int] = []
        notifies: list[int] = []
        for position, output in enumerate(outputs):
            if output["type"] in services:
                (asks if output["type"] in answering else notifies).append(position)
        entry = NewEntry(
            consumed=step.consumed,
            outputs=outputs,
            asks=asks,
            notifies=notifies,
            collects=self._workflow.collects,
            at=int(self._policy.clock.now().timestamp() * 1000),
            took=took,
        )
        state = step.state
        if timers is not None:
            entry.delayed, entry.dropped = timers.delayed, timers.dropped
            state.timers = timers.timers
        state.status = "done" if outcome.done else "active"
        state.members = {**state.members, **outcome.members}
        if held.post(state, entry, forgets=self._commit.forgets(state)):
            window = self._policy.redelivery_window
            step.trace.warn(
                "outputs that may not have arrived were dropped from the record, which keeps those "
                f"of redelivery_window ({window}) steps and at most 64 KiB"
            )

    async def _fail(
        self, lease: MachineLease, held: HeldWorkflow, step: WorkflowStep, error: Exception
    ) -> list[ArvoEvent]:
        """Store that an exception has ended the workflow, and return system errors."""
        step.trace.failed(error, event=step.event, source=step.contract.type)
        events = step.emission.system_error(
            self._system_errors.describe(error),
            to=step.content.execution.initiator,
            parentid=step.state.init_event_id,
            domains=self._workflow.domains.system_error,
        )
        described = SystemErrorData.from_exception(error)
        failure = step.state.fail(
            {
                "name": described.error_name,
                "message": described.error_message,
                "stack": described.error_stack,
            },
            consumed=KeptEvent.of(step.consumed),
            outputs=[KeptEvent.of(event.to_dict()) for event in events],
        )
        try:
            await self._commit.commit(lease, held, step)
        except UnwritableRecordError:
            # The event may be too large by itself. Without its data the workflow can still fail.
            failure.consumed = KeptEvent.of({**step.consumed, "data": None})
            try:
                await self._commit.commit(lease, held, step)
            except UnwritableRecordError as unwritable:
                raise write_failure(step.event.subject, unwritable) from unwritable
        return events

    def _first_state(self, event: ArvoEvent) -> WorkflowState:
        parent = event.data.get(PARENT_SUBJECT)
        return WorkflowState(
            subject=event.subject,
            init_event_id=event.id,
            parent_subject=parent if isinstance(parent, str) else None,
            open=OpenRequests() if self._answers == "awaited" else None,
        )

    def _answering_types(self, version: str) -> frozenset[str]:
        """Return the types that services accept, without those of services that emit nothing.

        These are only notified, and to wait for their answers would keep the notifications for ever.

        Raises:
            ConfigViolation: The workflow does not implement the version.
        """
        services = self._workflow.services(version)
        return frozenset(kind for kind, service in services.items() if service.emits)
