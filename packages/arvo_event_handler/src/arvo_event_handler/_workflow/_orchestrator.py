"""Workflows written as statecharts, resumed with every answer."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from typing_extensions import override

from arvo_core import (
    PARENT_SUBJECT,
    ArvoOrchestratorContract,
    EventLimits,
    InvalidDataError,
    VersionedArvoContract,
)
from arvo_core.telemetry import ArvoSpanKind
from arvo_event_handler._emission._domain import EmissionDomains
from arvo_event_handler._emission._emit import Complete, Emit
from arvo_event_handler._errors import ContractViolation
from arvo_event_handler._system_error_policy import SystemErrorPolicy
from arvo_event_handler.memory._memory import IMachineMemory
from arvo_event_handler.memory._record import MACHINE_DEFINITION, MACHINE_STATE, MACHINE_VALUE
from arvo_time import Clock
from arvo_time.settings import given_or

from ._execution_policy import ExecutionPolicy
from ._machine import ArvoMachine, MachineRegistry
from ._machine_engine import MachineExecutionEngine
from ._machine_timers import MissingTimers, machine_event, machine_timers
from ._open_requests import Answers
from ._stored_record import stored_machine_state
from ._timers import check_indexed
from ._workflow import StepOutcome, Workflow, WorkflowStep
from ._workflow_handler import WorkflowHandler

_EXTENSIONS = "__extensions"  # TypeScript's name for an event's custom extensions
_DELAYS = frozenset(("at", "after"))  # a machine delays by its own means
_EMIT_FIELDS = (frozenset(item.name for item in fields(Emit)) - _DELAYS) | {_EXTENSIONS}


class ArvoOrchestrator(WorkflowHandler):
    """A workflow across services, written as a statechart per version.

    The machine starts with the init event as its input and takes each answer as an event. An
    exception in an action or guard ends the workflow: the initiator gets a system error
    event. A `ViolationError` escapes `execute` and changes nothing. Reaching the final state
    completes the workflow, exactly once; a service runs at least once and must be idempotent by
    (source, id).

    TypeScript: `createArvoOrchestrator`.

    Args:
        machines: One per version; all of one contract.
        memory: Where the workflow's state lives between events.
        executionunits: The default cost of an output, unitless.
        requires_resource_locking: Whether to lock a memory that offers only the four calls. None
            locks it if a machine needs that. A leased memory always grants leases.
        domains: Where requests, completions and system errors go by default.
        engine: What runs the machines.
        answers: "awaited" accepts an answer only if it answers a request that this workflow sent
            and that has no answer yet, is of a type that the asked service emits, and has that
            service as its source (unless the request left for a domain). "any" accepts everything
            that the services can emit, as the TypeScript version does.
        system_errors: How a failure is described to the workflow's initiator; None for the
            exception's name and message.
        policy: How stored state is treated.
        limits: How deep the data of its outputs may be; None for the defaults of `EventLimits`.
            Their readers need limits as large, and are the ones who check the size.
        deadline: How long a workflow may take from the time of its init event; see `ArvoResumable`.

    Raises:
        InvalidHandlerError: `machines` is empty.
        ConfigViolation: The machines belong to several contracts, or two implement one version;
            or `memory` is not a machine memory, or has no index of what is due, and a machine has
            `after`, or there is a deadline.
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
        >>> machine = ArvoMachine(
        ...     contract=contract.version(V1),
        ...     services=[],
        ...     config={
        ...         "context": lambda call: {"n": call.input["data"]["n"]},
        ...         "initial": "done",
        ...         "states": {"done": {"type": "final"}},
        ...         "output": lambda call: {"total": 2 * call.context["n"]},
        ...     },
        ... )
        >>> twice = ArvoOrchestrator(machines=[machine], memory=SimpleMachineMemory())
        >>> factory = ArvoOrchestratorEventFactory(contract.version(V1))
        >>> [done] = asyncio.run(twice.execute(factory.init(source="com.app.main", data=Ask(n=4))))
        >>> done.type, done.data
        ('arvo.orc.twice.done', {'total': 8})
    """

    def __init__(
        self,
        *,
        machines: Iterable[ArvoMachine],
        memory: IMachineMemory,
        executionunits: float = 0,
        requires_resource_locking: bool | None = None,
        domains: EmissionDomains | None = None,
        engine: MachineExecutionEngine | None = None,
        answers: Answers = "any",
        system_errors: SystemErrorPolicy | None = None,
        policy: ExecutionPolicy | None = None,
        limits: EventLimits | None = None,
        deadline: timedelta | None = None,
    ) -> None:
        self.registry: MachineRegistry = MachineRegistry(machines)
        """The machines by version."""
        where = self.registry.contract.type
        policy = given_or(policy, default=ExecutionPolicy(), name=f"{where}: policy")
        if any(machine.waits_for_time for machine in self.registry.machines):
            check_indexed(memory, where=where, what="a machine with `after`")
        workflow = OrchestratorWorkflow(
            registry=self.registry,
            engine=given_or(engine, default=MachineExecutionEngine(), name=f"{where}: engine"),
            executionunits=executionunits,
            domains=given_or(domains, default=EmissionDomains(), name=f"{where}: domains"),
            clock=policy.clock,
        )
        if requires_resource_locking is None:
            requires_resource_locking = any(
                machine.requires_resource_locking for machine in self.registry.machines
            )
        super().__init__(
            workflow,
            label="Orchestrator",
            kind=ArvoSpanKind.ORCHESTRATOR,
            memory=memory,
            requires_resource_locking=requires_resource_locking,
            answers=answers,
            system_errors=system_errors,
            policy=policy,
            limits=limits,
            deadline=deadline,
        )


class OrchestratorWorkflow(Workflow):
    """Runs the machine of the right version and turns what it asks for into an outcome.

    Args:
        registry: The machines by version.
        engine: What runs them.
        executionunits: The default cost of an output.
        domains: Where outputs go by default.
        clock: Says what time it is.
    """

    def __init__(
        self,
        *,
        registry: MachineRegistry,
        engine: MachineExecutionEngine,
        executionunits: float,
        domains: EmissionDomains,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._engine = engine
        self._executionunits = executionunits
        self._domains = domains
        self._missing = MissingTimers()

    @property
    @override
    def contract(self) -> ArvoOrchestratorContract:
        return self._registry.contract

    @override
    def services(self, version: str) -> Mapping[str, VersionedArvoContract[Any]]:
        return self._registry.services(version)

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
        return False

    @override
    async def step(self, step: WorkflowStep) -> StepOutcome:
        machine = self._registry.machine(step.contract.version)
        reaction = self._engine.execute(
            machine,
            event=_event_of(step),
            state=None if step.is_start else stored_machine_state(step.state),
        )
        self._missing.look(reaction, step, where=machine.contract.dataschema)
        events = [
            event
            for asked in reaction.emitted
            for event in step.emission.request(
                _as_emit(asked), services=machine.services, domains=self._domains.services
            )
        ]
        if reaction.done:
            events += step.emission.completion(
                Complete(reaction.output),
                content=step.content,
                init_event_id=step.state.init_event_id,
                domains=self._domains.complete,
            )
        return StepOutcome(
            events=events,
            done=reaction.done,
            members={
                MACHINE_VALUE: reaction.value,
                MACHINE_STATE: reaction.state,
                MACHINE_DEFINITION: machine.definition,
            },
            timers=machine_timers(
                reaction, now=self._clock.now(), where=machine.contract.dataschema
            ),
        )


def _event_of(step: WorkflowStep) -> Mapping[str, Any]:
    """Return the event that the machine sees."""
    if step.fired is not None:
        return machine_event(step.fired)
    return {**step.consumed, "data": _wire_data(step)}


def _wire_data(step: WorkflowStep) -> dict[str, Any]:
    """Return the parsed data as the machine sees it: JSON with defaults filled in."""
    if step.service is None:
        return {
            PARENT_SUBJECT: step.event.data.get(PARENT_SUBJECT),
            **step.contract.accepts.dump(step.data),
        }
    payload = step.service.emits.get(step.event.type, step.service.system_error)
    try:
        return payload.dump(step.data)
    except InvalidDataError as error:
        raise ContractViolation(
            f"event {step.event.id!r} of type {step.event.type!r} cannot be given to the machine: "
            f"{error}"
        ) from error


def _as_emit(asked: Mapping[str, Any]) -> Emit:
    unknown = asked.keys() - _EMIT_FIELDS
    if unknown or "type" not in asked:
        raise ContractViolation(
            "a machine's event: expected type and at most data, to, domain, id, time, dataschema, "
            "executionunits, accesscontrol, redirectto and extensions, "
            f"got {sorted(map(str, asked))}"
        )
    wanted = dict(asked)
    if _EXTENSIONS in wanted:
        wanted["extensions"] = wanted.pop(_EXTENSIONS)
    return Emit(wanted.pop("type"), wanted.pop("data", {}), **wanted)
