"""Workflows written as code: a function that is called again with every answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    EventLimits,
    SystemErrorData,
    VersionedArvoContract,
)
from arvo_core.telemetry import ArvoSpanKind
from arvo_event_handler._construction_checks import (
    check_distinct_versions,
    check_functions,
    check_versions,
    services_by_type,
)
from arvo_event_handler._emission._domain import EmissionDomains
from arvo_event_handler._errors import ConfigViolation, ContractViolation
from arvo_event_handler._system_error_policy import SystemErrorPolicy
from arvo_event_handler.memory._kept_event import KeptEvent
from arvo_event_handler.memory._memory import IMachineMemory, Record
from arvo_event_handler.memory._record import CONTEXT
from arvo_event_handler.memory._state import WorkflowState
from arvo_time import Clock
from arvo_time.settings import given_or

from ._collected_answers import CollectedAnswers
from ._execution_policy import ExecutionPolicy
from ._open_requests import Answers
from ._resumable_call import Due, Reply, Start, Step
from ._resumable_timers import DelayedRequest, cancelled_requests, named_inputs, timer_changes
from ._stored_context import ContextType, StoredContext
from ._stored_record import stored_outputs, visible
from ._timers import check_indexed
from ._workflow import StepOutcome, StoredReads, Workflow, WorkflowStep, user_code
from ._workflow_handler import WorkflowHandler

ArvoResumableFunction: TypeAlias = Callable[[Any], Awaitable[Step[Any] | None]]
"""An async function of one `Start[...] | Reply[...] | Due[...]` that returns what happens next."""


class ArvoResumable(WorkflowHandler):
    """A workflow across services, written as an async function and resumed with every answer.

    The function is called with a `Start`, then with a `Reply` for each answer, and with a `Due` for each
    of its timers. Its state is the
    context it returns, stored between calls. An exception ends the workflow: the initiator gets a
    system error event. A `ViolationError` escapes `execute` and changes nothing. The workflow's
    state and completion happen once; a service runs at least once and must be idempotent by
    (source, id).

    TypeScript: `createArvoResumable`.

    Args:
        contract: What starts the workflow and what it completes with.
        services: The contract versions it may ask; contracts must be unique.
        memory: Where its state lives between events.
        handler: One async function per version of the contract. A mapping kept in a variable needs
            the annotation `dict[str, ArvoResumableFunction]`.
        executionunits: The default cost of an output, unitless.
        requires_resource_locking: Whether to lock a memory that offers only the four calls. None
            locks it if there is more than one service. A leased memory always grants leases.
        domains: Where requests, completions and system errors go by default.
        contexts: The context's type by version, for functions whose annotation cannot be resolved.
        answers: "awaited" accepts an answer only if it answers a request that this workflow sent
            and that has no answer yet, is of a type that the asked service emits, and has that
            service as its source (unless the request left for a domain). "any" accepts everything
            that the services can emit, as the TypeScript version does.
        system_errors: How a failure is described to the workflow's initiator; None for the
            exception's name and message.
        policy: How stored state is treated.
        limits: How deep the data of its outputs may be; None for the defaults of `EventLimits`.
            Their readers need limits as large, and are the ones who check the size.
        deadline: How long a workflow may take from the time of its init event; then it fails, and the
            initiator gets a system error with the name `WorkflowDeadlineExceeded`. An init event with
            the extension `deadline`, a time with a zone, has that one instead. A retry gives the whole
            time again. None: any time. At most 10 years.

    Raises:
        InvalidHandlerError: `contract` is not an orchestrator contract; a version lacks a
            function, or a function or context is for an unknown version; a function is not async,
            takes more than one argument, or has an annotation that does not fit or cannot be
            resolved; or a context's type cannot be stored as it is, see `arvo_core.Payload`.
        ConfigViolation: A service is not a contract in one of its versions, two services share a
            URI, a type or a version object, the workflow is its own service, or `memory` is not a
            machine memory. Or a function takes a `Due`, or there is a deadline, and the memory has
            no index of what is due.
        TypeError: A setting is of another type than its parameter.
        ValueError: `answers` is neither "any" nor "awaited", `executionunits` not finite, or
            `deadline` not above zero or above 10 years.

    Example:
        >>> class Ask(BaseModel):
        ...     n: int
        >>> class Answer(BaseModel):
        ...     total: int
        >>> V1 = OrchestratorVersion("1.0.0", init=Ask, complete=Answer)
        >>> contract = ArvoOrchestratorContract(uri="#/org/twice", name="twice", versions=[V1])
        >>> async def twice_v1(call: Start[Ask] | Reply[dict[str, Any]]) -> Step[dict[str, Any]]:
        ...     assert isinstance(call, Start)
        ...     return Step(output=Complete(Answer(total=2 * call.data.n)))
        >>> twice = ArvoResumable(
        ...     contract=contract,
        ...     services=[],
        ...     memory=SimpleMachineMemory(),
        ...     handler={"1.0.0": twice_v1},
        ... )
        >>> factory = ArvoOrchestratorEventFactory(contract.version(V1))
        >>> [done] = asyncio.run(twice.execute(factory.init(source="com.app.main", data=Ask(n=4))))
        >>> done.type, done.data
        ('arvo.orc.twice.done', {'total': 8})
    """

    def __init__(
        self,
        *,
        contract: ArvoOrchestratorContract,
        services: Iterable[VersionedArvoContract[Any]],
        memory: IMachineMemory,
        handler: Mapping[str, ArvoResumableFunction],
        executionunits: float = 0,
        requires_resource_locking: bool | None = None,
        domains: EmissionDomains | None = None,
        contexts: Mapping[str, ContextType] | None = None,
        answers: Answers = "any",
        system_errors: SystemErrorPolicy | None = None,
        policy: ExecutionPolicy | None = None,
        limits: EventLimits | None = None,
        deadline: timedelta | None = None,
    ) -> None:
        check_functions(
            contract, handler, kind=ArvoOrchestratorContract, inputs=(Start, Reply, Due)
        )
        check_versions(contract, contexts or {})
        self.services: Mapping[str, VersionedArvoContract[Any]] = services_by_type(
            contract, services
        )
        """The services it may ask, by the event type they accept."""
        check_distinct_versions(contract, self.services.values())
        policy = given_or(policy, default=ExecutionPolicy(), name=f"{contract.type}: policy")
        workflow = ResumableWorkflow(
            contract=contract,
            services=self.services,
            functions=handler,
            executionunits=executionunits,
            domains=given_or(domains, default=EmissionDomains(), name=f"{contract.type}: domains"),
            contexts=contexts or {},
            clock=policy.clock,
        )
        if workflow.asks_for_due:
            check_indexed(memory, where=contract.type, what="a function that takes a Due")
        if requires_resource_locking is None:
            requires_resource_locking = len(self.services) > 1
        super().__init__(
            workflow,
            label="Resumable",
            kind=ArvoSpanKind.RESUMABLE,
            memory=memory,
            requires_resource_locking=requires_resource_locking,
            answers=answers,
            system_errors=system_errors,
            policy=policy,
            limits=limits,
            deadline=deadline,
        )


class ResumableWorkflow(Workflow):
    """Calls the function of the right version and turns what it returns into an outcome.

    Args:
        contract: What starts the workflow and what it completes with.
        services: The services it may ask, by the event type they accept.
        functions: One async function per version, already checked against the contract.
        executionunits: The default cost of an output.
        domains: Where outputs go by default.
        contexts: The context's type by version, where the annotation does not name it.
        clock: Says what time it is.

    Raises:
        InvalidHandlerError: A function's annotation cannot be resolved, or a context is not fit to
            be stored; see `Payload`.
    """

    def __init__(
        self,
        *,
        contract: ArvoOrchestratorContract,
        services: Mapping[str, VersionedArvoContract[Any]],
        functions: Mapping[str, ArvoResumableFunction],
        executionunits: float,
        domains: EmissionDomains,
        contexts: Mapping[str, ContextType],
        clock: Clock,
    ) -> None:
        self._contract = contract
        self._clock = clock
        self._services = MappingProxyType(dict(services))
        self._functions = dict(functions)
        self._executionunits = executionunits
        self._domains = domains
        self._contexts = {
            version: StoredContext(
                contract=contract, version=version, function=function, kind=contexts.get(version)
            )
            for version, function in functions.items()
        }
        named = {version: named_inputs(function) for version, function in functions.items()}
        self.asks_for_due: bool = any(Due in inputs for inputs in named.values())
        """Whether the annotation of a function says that it sets timers."""
        self._without_due = {
            version for version, inputs in named.items() if inputs and Due not in inputs
        }

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
        return self._executionunits

    @property
    @override
    def domains(self) -> EmissionDomains:
        return self._domains

    @property
    @override
    def collects(self) -> bool:
        return True

    @override
    async def step(self, step: WorkflowStep) -> StepOutcome:
        if step.fired is not None and step.fired.event is not None:
            leaving = KeptEvent.of(step.fired.event)
            return StepOutcome(
                events=stored_outputs([leaving], step.event.subject), done=False, members={}
            )
        version = step.contract.version
        reads = StoredReads()
        call = self._call(step, reads)
        returned = await user_code(self._functions[version](call), reads=reads)
        if returned is None:
            returned = Step()
        if not isinstance(returned, Step):
            raise ContractViolation(
                f"{self._contract.type} {version} returned {type(returned).__name__}; "
                "return Step(...) or None"
            )
        if step.is_start and not (returned.services or returned.timers) and returned.output is None:
            step.trace.warn(
                "the workflow started without asking any service; nothing will resume it"
            )
        if returned.timers:
            self._check_due(version, "the function sets a timer")
        if returned.cancel:
            step.emission.release(cancelled_requests(returned, step))
        delayed: list[DelayedRequest] = []
        events = self._emit(step, returned, delayed)
        timers = None
        if delayed or returned.timers or returned.cancel:
            timers = timer_changes(
                returned, delayed, step=step, now=self._clock.now(), where=self._contract.type
            )
        return StepOutcome(
            events=events,
            done=returned.output is not None,
            members={CONTEXT: self._contexts[version].dump(returned.context, state=step.state)},
            timers=timers,
        )

    def _check_due(self, version: str, what: str) -> None:
        if version in self._without_due:
            raise ConfigViolation(
                f"{self._contract.type} {version}: {what}, and its annotation does not say that it "
                "takes a Due; add it: Start[...] | Reply[...] | Due[...]"
            )

    def _call(self, step: WorkflowStep, reads: StoredReads) -> Start[Any] | Reply[Any] | Due[Any]:
        if step.is_start:
            return Start(
                event=step.event,
                data=step.data,
                contract=step.contract,
                span=step.trace.span,
            )
        resumed: dict[str, Any] = {
            "context": self._contexts[step.contract.version].load(step.state),
            "event": step.event,
            "collected": CollectedAnswers(step.state.collection, current=step.event, reads=reads),
            "contract": step.contract,
            "span": step.trace.span,
            "services": self._services,
            "_read_metadata": partial(_metadata, step.state, reads),
            "_report_unreadable": reads.failed,
        }
        if step.fired is not None:
            self._check_due(step.contract.version, f"the timer {step.fired.name!r} is due")
            return Due(name=step.fired.name, at=step.fired.at, **resumed)
        error = step.data if isinstance(step.data, SystemErrorData) else None
        return Reply(data=step.data, error=error, **resumed)

    def _emit(
        self, step: WorkflowStep, returned: Step[Any], delayed: list[DelayedRequest]
    ) -> list[ArvoEvent]:
        """Make the events that leave now, and those that are `delayed`."""
        events: list[ArvoEvent] = []
        for item in returned.services:
            made = step.emission.request(
                item, services=self._services, domains=self._domains.services
            )
            if item.is_delayed:
                delayed.append(DelayedRequest(item, made))
            else:
                events += made
        if returned.output is not None:
            events += step.emission.completion(
                returned.output,
                content=step.content,
                init_event_id=step.state.init_event_id,
                domains=self._domains.complete,
            )
        return events


def _metadata(state: WorkflowState, reads: StoredReads) -> Record:
    if reads.over:
        raise RuntimeError(
            "call.metadata was read after the function had returned, when it is no longer what it "
            "was; read it before"
        )
    return visible(state)
