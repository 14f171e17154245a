"""Workflows written as code: a function that is called again with every answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from opentelemetry.context import Context
from pydantic import TypeAdapter
from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoSpanKind,
    JsonObject,
    Payload,
    SystemErrorData,
    VersionedArvoContract,
)

from ._domain import EmissionDomains
from ._errors import ContractViolation, InvalidHandlerError
from ._execution import ExecutionPolicy, WorkflowExecution
from ._handler import HandlerDomain, IArvoEventHandler
from ._handler_functions import argument_annotations, check_functions
from ._memory import IMachineMemory, Record
from ._redelivery import without_redelivery
from ._resumable_call import Reply, Start, Step
from ._telemetry import execution_span, observed, untraced
from ._workflow import StepInput, StepOutcome, Workflow
from ._workflow_input import services_by_type

ArvoResumableFunction: TypeAlias = Callable[[Any], Awaitable[Step[Any] | None]]
"""An async function of one `Start[...] | Reply[...]` that returns what happens next."""

_CONTEXT = "state$$"
"""The record's member that holds the context."""
_JSON_OBJECT: Payload[Any] = Payload(TypeAdapter(JsonObject))


class ArvoResumable(IArvoEventHandler, Workflow):
    """A workflow across services, written as an async function and resumed with every answer.

    The function is called with a `Start` and then with a `Reply` for each answer. Its state is the
    context it returns, stored between calls. An exception ends the workflow: whoever started it
    gets a system error event. A `ViolationError` escapes `execute` and changes nothing.
    The workflow's state and completion happen once; a service runs at least once and must be
    idempotent by (source, id).

    TypeScript: `createArvoResumable`.

    Args:
        contract: What starts the workflow and what it completes with.
        services: The contract versions it may ask, each contract once.
        memory: Where its state lives between events.
        handler: One async function per version of the contract; kept in a variable it needs the
            annotation `dict[str, ArvoResumableFunction]`.
        executionunits: The cost of an output that names none, unitless.
        requires_resource_locking: Whether to lock a memory that offers only the four calls. None:
            when there is more than one service. A leased memory always leases.
        domains: Where requests, completions and system errors go that name no domain.
        contexts: The context's type by version, for functions whose annotation cannot be resolved.
        policy: How stored state is treated.

    Raises:
        InvalidHandlerError: A version has no function, a function no version, it is not async, or
            its annotation does not fit.
        ConfigViolation: Two services share a URI or a type, or the workflow is its own service.

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
        contexts: Mapping[str, type[Any] | TypeAdapter[Any]] | None = None,
        policy: ExecutionPolicy | None = None,
    ) -> None:
        check_functions(contract, handler, wrapper=Start)
        self._contract = contract
        self._functions = dict(handler)
        self._services = services_by_type(contract, services)
        self._executionunits = executionunits
        self._domains = domains or EmissionDomains()
        self._contexts = {
            version: _context_payload(contract, version, function, contexts or {})
            for version, function in handler.items()
        }
        self.memory: IMachineMemory = memory
        """Where the workflow's state lives."""
        self.requires_resource_locking: bool = (
            len(self._services) > 1
            if requires_resource_locking is None
            else requires_resource_locking
        )
        """Whether a memory that offers only the four calls is locked."""
        self._execution = WorkflowExecution(
            self,
            memory=memory,
            locking=self.requires_resource_locking,
            policy=policy or ExecutionPolicy(),
        )

    @property
    @override
    def contract(self) -> ArvoOrchestratorContract:
        """What starts the workflow and what it completes with."""
        return self._contract

    @property
    @override
    def services(self) -> Mapping[str, VersionedArvoContract[Any]]:
        """The services it may ask, by the event type they accept."""
        return self._services

    @property
    @override
    def executionunits(self) -> float:
        """The cost of an output that names none."""
        return self._executionunits

    @property
    @override
    def domains(self) -> EmissionDomains:
        """Where outputs go that name no domain."""
        return self._domains

    @property
    @override
    def source(self) -> str:
        return self._contract.type

    @property
    @override
    def stateful(self) -> bool:
        return True

    @property
    def domain(self) -> str | None:
        """The contract's domain; None for none."""
        return self._contract.domain

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        """Advance the workflow by one event and return the events to publish, in order.

        An event seen before changes nothing and returns what it made the workflow emit, as far as
        nobody has answered it yet; the init event returns all of that, so that starting a
        workflow again resumes it. A finished workflow ignores events.

        Args:
            event: An init event, or a service's answer.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ExecutionViolation: The subject, or a parent's, is not an orchestration subject.
            ContractViolation: The event or an output does not match its contract.
            ConfigViolation: The event's version or type is unknown, or an output is wired wrongly.
            TransactionViolation: The state could not be had or stored; its cause says why.
            ViolationError: The function raised one.
        """
        if not observed():
            return await self._execution.run(event, untraced(event))
        with execution_span(
            event,
            name=f"Resumable<{self._contract.uri}>@<{event.type}>",
            source=self.source,
            contract_uri=self._contract.uri,
            kind=ArvoSpanKind.RESUMABLE,
            parent=parent,
        ) as trace:
            events = await self._execution.run(event, trace)
            trace.emitted(events)
            return events

    @override
    async def step(self, step: StepInput) -> StepOutcome:
        """Call the function for one event. Part of the execution; users call `execute`."""
        version = step.contract.version
        expected = _collect(step)
        returned = await self._functions[version](self._call(step, expected))
        if returned is None:
            returned = Step()
        if not isinstance(returned, Step):
            raise ContractViolation(
                f"{self.source} {version} returned {type(returned).__name__}; "
                "return Step(...) or None"
            )
        if step.record is None and not returned.services and returned.output is None:
            step.trace.warn(
                "the workflow started without asking any service; nothing will resume it"
            )
        events = self._emit(step, returned)
        return StepOutcome(
            events=events,
            done=returned.output is not None,
            members={
                "events": {"expected": {event.id: [] for event in events} if events else expected},
                _CONTEXT: self._dump_context(version, returned.context, step.record),
            },
        )

    def _call(
        self, step: StepInput, expected: Mapping[str, list[Any]] | None
    ) -> Start[Any] | Reply[Any]:
        domain = HandlerDomain(self=self._contract.domain, event=step.event.domain)
        if step.record is None:
            return Start(
                event=step.event,
                data=step.data,
                contract=step.contract,
                source=self.source,
                domain=domain,
                span=step.trace.span,
            )
        return Reply(
            context=self._load_context(step.contract.version, step.record),
            event=step.event,
            data=step.data,
            error=step.data if isinstance(step.data, SystemErrorData) else None,
            collected=_by_type(expected),
            metadata=without_redelivery(step.record),
            contract=step.contract,
            source=self.source,
            domain=domain,
            span=step.trace.span,
            services=self._services,
        )

    def _emit(self, step: StepInput, returned: Step[Any]) -> list[ArvoEvent]:
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
                init_event_id=step.init_event_id,
                domains=self._domains.complete,
            )
        return events

    def _load_context(self, version: str, record: Record) -> Any:
        stored = record.get(_CONTEXT)
        return None if stored is None else self._contexts[version].parse(stored)

    def _dump_context(self, version: str, context: object, record: Record | None) -> Any:
        if context is None:
            return None if record is None else record.get(_CONTEXT)
        dumped = self._contexts[version].to_wire(context)
        return _JSON_OBJECT.parse(dumped)

    @override
    def __repr__(self) -> str:
        return f"ArvoResumable({self._contract!r})"


def _context_payload(
    contract: ArvoOrchestratorContract,
    version: str,
    function: ArvoResumableFunction,
    given: Mapping[str, type[Any] | TypeAdapter[Any]],
) -> Payload[Any]:
    """Find the type of a function's context: given, annotated, or any JSON object."""
    if version in given:
        return Payload(given[version])
    try:
        annotated = argument_annotations(function, Reply)
    except NameError as error:
        raise InvalidHandlerError(
            f"handler of {contract.uri!r}, version {version}: its annotation cannot be resolved "
            f"({error}); move the classes to module level or pass contexts={{{version!r}: ...}}"
        ) from error
    kinds = [kind for kind in annotated if kind is not Any]
    return Payload(kinds[0]) if kinds else _JSON_OBJECT


def _collect(step: StepInput) -> dict[str, list[Any]] | None:
    """Return requests and their answers, with this event among them when it answers one."""
    events = None if step.record is None else step.record.get("events")
    stored = events.get("expected") if isinstance(events, dict) else None
    if not isinstance(stored, dict):
        return None
    expected: dict[str, list[Any]] = {
        request: list(answers) if isinstance(answers, list) else []
        for request, answers in stored.items()
    }
    if step.event.parentid in expected:
        expected[step.event.parentid].append(step.event.to_dict())
    return expected


def _by_type(expected: Mapping[str, list[Any]] | None) -> dict[str, list[ArvoEvent]]:
    collected: dict[str, list[ArvoEvent]] = {}
    for answers in (expected or {}).values():
        for answer in answers:
            event = ArvoEvent.from_dict(answer)
            collected.setdefault(event.type, []).append(event)
    return collected
