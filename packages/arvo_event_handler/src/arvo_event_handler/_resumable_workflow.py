"""A resumable as the execution sees it: the user's functions, called once per event."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    JsonObject,
    Payload,
    SystemErrorData,
    VersionedArvoContract,
)

from ._domain import EmissionDomains
from ._errors import ContractViolation, InvalidHandlerError
from ._handler_functions import argument_annotations
from ._memory import Record
from ._resumable_call import Reply, Start, Step
from ._workflow import StepInput, StepOutcome, Workflow

ArvoResumableFunction: TypeAlias = Callable[[Any], Awaitable[Step[Any] | None]]
"""An async function of one `Start[...] | Reply[...]` that returns what happens next."""

ContextType: TypeAlias = type[Any] | TypeAdapter[Any]
"""What a context is parsed by: a pydantic model or an adapter."""

_CONTEXT = "state$$"
"""The record's member that holds the context."""
_JSON_OBJECT: Payload[Any] = Payload(TypeAdapter(JsonObject))


class ResumableWorkflow(Workflow):
    """Calls the function of the right version and turns what it returns into an outcome.

    Args:
        contract: What starts the workflow and what it completes with.
        services: The services it may ask, by the event type they accept.
        functions: One async function per version, already checked against the contract.
        executionunits: The cost of an output that names none.
        domains: Where outputs go that name no domain.
        contexts: The context's type by version, where the annotation does not say it.

    Raises:
        InvalidHandlerError: A function's annotation cannot be resolved.
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
        self._services = services
        self._functions = dict(functions)
        self._executionunits = executionunits
        self._domains = domains
        self._contexts = {
            version: _context_payload(contract, version, function, contexts)
            for version, function in functions.items()
        }

    @property
    @override
    def contract(self) -> ArvoOrchestratorContract:
        return self._contract

    @property
    @override
    def services(self) -> Mapping[str, VersionedArvoContract[Any]]:
        return self._services

    @property
    @override
    def executionunits(self) -> float:
        return self._executionunits

    @property
    @override
    def domains(self) -> EmissionDomains:
        return self._domains

    @override
    async def step(self, step: StepInput) -> StepOutcome:
        version = step.contract.version
        expected = _collect(step)
        returned = await self._functions[version](self._call(step, expected))
        if returned is None:
            returned = Step()
        if not isinstance(returned, Step):
            raise ContractViolation(
                f"{self._contract.type} {version} returned {type(returned).__name__}; "
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
        if step.record is None:
            return Start(
                event=step.event,
                data=step.data,
                contract=step.contract,
                span=step.trace.span,
            )
        return Reply(
            context=self._load_context(step.contract.version, step.record),
            event=step.event,
            data=step.data,
            error=step.data if isinstance(step.data, SystemErrorData) else None,
            collected=_by_type(expected, current=step.event),
            contract=step.contract,
            span=step.trace.span,
            services=self._services,
            _record=step.record,
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
        if stored is None:
            return None
        # Parsed twice for a copy at every depth: what users change is never written by accident.
        return self._contexts[version].parse(_JSON_OBJECT.parse(stored))

    def _dump_context(self, version: str, context: object, record: Record | None) -> Any:
        if context is None:
            return None if record is None else record.get(_CONTEXT)
        dumped = self._contexts[version].to_wire(context)
        return _JSON_OBJECT.parse(dumped)


def _context_payload(
    contract: ArvoOrchestratorContract,
    version: str,
    function: ArvoResumableFunction,
    given: Mapping[str, ContextType],
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


def _by_type(
    expected: Mapping[str, list[Any]] | None, *, current: ArvoEvent
) -> dict[str, list[ArvoEvent]]:
    collected: dict[str, list[ArvoEvent]] = {}
    for answers in (expected or {}).values():
        for answer in answers:
            is_current = answer["id"] == current.id and answer["source"] == current.source
            event = current if is_current else ArvoEvent.from_dict(answer)
            collected.setdefault(event.type, []).append(event)
    return collected
