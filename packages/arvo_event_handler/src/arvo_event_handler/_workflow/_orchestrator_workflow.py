"""An orchestrator as the execution sees it: a machine, run once per event."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from typing_extensions import override

from arvo_core import (
    PARENT_SUBJECT,
    ArvoOrchestratorContract,
    InvalidDataError,
    VersionedArvoContract,
)
from arvo_event_handler._emission._domain import EmissionDomains
from arvo_event_handler._emission._emit import Complete, Emit
from arvo_event_handler._errors import ContractViolation

from ._machine_engine import MachineExecutionEngine
from ._machine_registry import MachineRegistry
from ._stored_record import stored_state
from ._workflow import StepOutcome, Workflow, WorkflowStep

_EXTENSIONS = "__extensions"  # TypeScript's name for an event's custom extensions
_EMIT_FIELDS = frozenset(item.name for item in fields(Emit)) | {_EXTENSIONS}


class OrchestratorWorkflow(Workflow):
    """Runs the machine of the right version and turns what it asks for into an outcome.

    Args:
        registry: The machines by version.
        engine: What runs them.
        executionunits: The cost of an output that names none.
        domains: Where outputs go that name no domain.
    """

    def __init__(
        self,
        *,
        registry: MachineRegistry,
        engine: MachineExecutionEngine,
        executionunits: float,
        domains: EmissionDomains,
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._executionunits = executionunits
        self._domains = domains

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

    @override
    async def step(self, step: WorkflowStep) -> StepOutcome:
        machine = self._registry.machine(step.contract.version)
        reaction = self._engine.execute(
            machine,
            event={**step.consumed, "data": _wire_data(step)},
            state=None if step.record is None else stored_state(step.record, step.event.subject),
        )
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
                init_event_id=step.init_event_id,
                domains=self._domains.complete,
            )
        return StepOutcome(
            events=events,
            done=reaction.done,
            members={
                "value": reaction.value,
                "state": reaction.state,
                "machineDefinition": machine.definition,
            },
        )


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
            f"a machine asked for an event with {sorted(map(str, asked))}; it takes type, data, "
            "to, domain, id, time, dataschema, executionunits, accesscontrol, redirectto, "
            "extensions"
        )
    wanted = dict(asked)
    if _EXTENSIONS in wanted:
        wanted["extensions"] = wanted.pop(_EXTENSIONS)
    return Emit(wanted.pop("type"), wanted.pop("data", {}), **wanted)
