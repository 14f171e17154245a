"""What the execution of stateful handlers needs to know of a workflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from arvo_core import ArvoEvent, ArvoOrchestratorContract, SubjectContent, VersionedArvoContract

from ._domain import EmissionDomains
from ._emission import Emission
from ._memory import Record
from ._telemetry import ExecutionTrace


# Not frozen, here and below, which would triple the cost of making one for every event.
@dataclass(slots=True, kw_only=True)
class StepInput:
    """One event that a workflow must react to, already known to be new and addressed to it."""

    event: ArvoEvent
    """The event."""
    content: SubjectContent
    """Its subject, decoded."""
    contract: VersionedArvoContract[Any]
    """The workflow's own contract in the subject's version."""
    service: VersionedArvoContract[Any] | None
    """The service that replied; None for the init event."""
    data: Any
    """The event's data, parsed by the contract that describes it."""
    record: Record | None
    """The workflow's latest record; None for the init event."""
    init_event_id: str
    """The id of the event that started the workflow."""
    parent_subject: str | None
    """The parent workflow's subject; None at the root."""
    emission: Emission
    """Makes the outgoing events."""
    trace: ExecutionTrace
    """The execution's telemetry."""


@dataclass(slots=True, kw_only=True)
class StepOutcome:
    """How a workflow reacted."""

    events: Sequence[ArvoEvent]
    """What to publish, in order."""
    done: bool
    """Whether the workflow has ended."""
    members: Mapping[str, Any]
    """What its record says besides what all records say; JSON."""


class Workflow(Protocol):
    """A resumable or an orchestrator, as seen by the execution that both go through."""

    @property
    def contract(self) -> ArvoOrchestratorContract:
        """What starts it and what it completes with."""
        ...

    @property
    def services(self) -> Mapping[str, VersionedArvoContract[Any]]:
        """The services it may ask, by the event type they accept."""
        ...

    @property
    def executionunits(self) -> float:
        """The cost of an output that names none."""
        ...

    @property
    def domains(self) -> EmissionDomains:
        """Where outputs go that name no domain."""
        ...

    async def step(self, step: StepInput) -> StepOutcome:
        """React to one event. Ordinary exceptions fail the workflow; violations escape."""
        ...
