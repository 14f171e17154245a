"""Workflows written as code: a function that is called again with every answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
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
from arvo_event_handler._errors import ContractViolation
from arvo_event_handler._system_error_policy import SystemErrorPolicy
from arvo_event_handler.memory._memory import IMachineMemory, Record
from arvo_event_handler.memory._record import CONTEXT
from arvo_event_handler.memory._state import WorkflowState
from arvo_time.settings import given_or

from ._collected_answers import CollectedAnswers
from ._execution import ExecutionPolicy
from ._open_requests import Answers
from ._resumable_call import Reply, Start, Step
from ._stored_context import ContextType, StoredContext
from ._stored_record import visible
from ._workflow import StepOutcome, StoredReads, Workflow, WorkflowStep, user_code
from ._workflow_handler import WorkflowHandler

ArvoResumableFunction: TypeAlias = Callable[[Any], Awaitable[Step[Any] | None]]
"""An async function of one `Start[...] | Reply[...]` that returns what happens next."""


class ArvoResumable(WorkflowHandler):
    """A workflow across services, written as an async function and resumed with every answer.

    The function is called with a `Start` and then with a `Reply` for each answer. Its state is the
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

    Raises:
        InvalidHandlerError: `contract` is not an orchestrator contract; a version lacks a
            function, or a function or context is for an unknown version; a function is not async,
            takes more than one argument, or has an annotation that does not fit or cannot be
            resolved; or a context's type cannot be stored as it is, see `arvo_core.Payload`.
        ConfigViolation: A service is not a contract in one of its versions, two services share a
            URI, a type or a version object, the workflow is its own service, or `memory` is not a
            machine memory.
        TypeError: A setting is of another type than its parameter.
        ValueError: `answers` is neither "any" nor "awaited", or `executionunits` not finite.

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
    ) -> None:
        check_functions(contract, handler, kind=ArvoOrchestratorContract, inputs=(Start, Reply))
        check_versions(contract, contexts or {})
        self.services: Mapping[str, VersionedArvoContract[Any]] = services_by_type(
            contract, services
        )
        """The services it may ask, by the event type they accept."""
        check_distinct_versions(contract, self.services.values())
        workflow = ResumableWorkflow(
            contract=contract,
            services=self.services,
            functions=handler,
            executionunits=executionunits,
            domains=given_or(domains, default=EmissionDomains(), name=f"{contract.type}: domains"),
            contexts=contexts or {},
        )
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
    ) -> None:
        self._contract = contract
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
        if step.is_start and not returned.services and returned.output is None:
            step.trace.warn(
                "the workflow started without asking any service; nothing will resume it"
            )
        events = self._emit(step, returned)
        return StepOutcome(
            events=events,
            done=returned.output is not None,
            members={CONTEXT: self._contexts[version].dump(returned.context, state=step.state)},
        )

    def _call(self, step: WorkflowStep, reads: StoredReads) -> Start[Any] | Reply[Any]:
        if step.is_start:
            return Start(
                event=step.event,
                data=step.data,
                contract=step.contract,
                span=step.trace.span,
            )
        return Reply(
            context=self._contexts[step.contract.version].load(step.state),
            event=step.event,
            data=step.data,
            error=step.data if isinstance(step.data, SystemErrorData) else None,
            collected=CollectedAnswers(step.state.collection, current=step.event, reads=reads),
            contract=step.contract,
            span=step.trace.span,
            services=self._services,
            _read_metadata=partial(_metadata, step.state, reads),
            _report_unreadable=reads.failed,
        )

    def _emit(self, step: WorkflowStep, returned: Step[Any]) -> list[ArvoEvent]:
        events = [
            event
            for item in returned.services
            for event in step.emission.request(
                item, services=self._services, domains=self._domains.services
            )
        ]
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
