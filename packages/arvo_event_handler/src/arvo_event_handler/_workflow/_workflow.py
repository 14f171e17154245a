"""What the execution of stateful handlers needs to know of a workflow."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    SubjectContent,
    VersionedArvoContract,
    ViolationError,
)
from arvo_event_handler._emission._domain import EmissionDomains
from arvo_event_handler._emission._emission import Emission
from arvo_event_handler._errors import raise_violation
from arvo_event_handler._telemetry import ExecutionTrace
from arvo_event_handler.memory._kept_event import WireEvent
from arvo_event_handler.memory._state import WorkflowState

V = TypeVar("V", bound=ViolationError)


class StoredReads:
    """Remembers the first violation that reading stored data raised inside user code.

    The function then decides without the data it asked for. So the step is discarded, even if the
    function swallows the violation or turns it into an exception of its own.
    """

    __slots__ = ("failure", "over")

    def __init__(self) -> None:
        self.failure: ViolationError | None = None
        """The first violation; None while everything could be read."""
        self.over = False
        """Whether user code has ended, after which the workflow's state changes."""

    def failed(self, violation: V) -> V:
        """Remember a violation, and return it to be raised."""
        self.failure = self.failure or violation
        return violation


class FiredTimer(NamedTuple):
    """The timer that a step fires."""

    key: str
    name: str
    at: datetime
    """When it was due."""
    event: WireEvent | None
    """What a machine takes, or the request that leaves; None of a timer that has neither."""
    due_by: datetime
    """The memory's time when it was claimed."""


class NewTimer(NamedTuple):
    """A timer that a step sets."""

    name: str
    at: datetime
    event: WireEvent | None = None
    """What a machine takes when it is due, or the request that leaves; None for neither."""
    named: bool = True
    """Whether it replaces a pending timer of its name, and can be cancelled by it."""


class TimerChanges(NamedTuple):
    """What a step does to the timers of its workflow."""

    cancel: Sequence[str] = ()
    """Names of timers, and ids of requests that were to leave later; taken out before others are set."""
    set: Sequence[NewTimer] = ()
    """In the order of setting."""


# Not frozen, here and below: that would triple the cost of making one for every event.
@dataclass(slots=True, kw_only=True)
class WorkflowStep:
    """One event that a workflow must react to, already known to be new and addressed to it."""

    event: ArvoEvent
    content: SubjectContent
    """The event's subject, decoded."""
    contract: VersionedArvoContract[Any]
    """The workflow's own contract in the subject's version."""
    service: VersionedArvoContract[Any] | None
    """The service that replied; None for the init event."""
    data: Any
    """The event's data, parsed by the contract that describes it."""
    is_start: bool
    """Whether the event starts the workflow, so that there are no earlier steps."""
    is_retry: bool
    """Whether the event failed before, and is handled again."""
    state: WorkflowState
    """What is known of the workflow's earlier steps. The execution accounts for this one in it."""
    emission: Emission
    """Makes the outgoing events."""
    trace: ExecutionTrace
    """The execution's telemetry."""
    consumed: WireEvent
    """The event as the record keeps it, taken before user code could change anything."""
    fired: FiredTimer | None = None
    """The timer that the event fires; None of any other event."""


_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class StepOutcome:
    """How a workflow reacted."""

    events: Sequence[ArvoEvent]
    """What to publish, in order."""
    done: bool
    """Whether the workflow has ended."""
    members: Mapping[str, Any]
    """The members of its record beyond those that all records have; JSON."""
    timers: TimerChanges | None = None
    """What it does to its timers; None for nothing."""


class Workflow(Protocol):
    """A resumable or an orchestrator, as seen by the execution that both go through."""

    @property
    def contract(self) -> ArvoOrchestratorContract:
        """What starts it and what it completes with."""
        ...

    def services(self, version: str) -> Mapping[str, VersionedArvoContract[Any]]:
        """Return the services that a version may ask, by the event type they accept.

        Raises:
            ConfigViolation: The workflow does not implement the version.
        """
        ...

    @property
    def executionunits(self) -> float:
        """The default cost of an output."""
        ...

    @property
    def domains(self) -> EmissionDomains:
        """Where outputs go by default."""
        ...

    @property
    def collects(self) -> bool:
        """Whether it is given all the answers to its latest requests with each of them."""
        ...

    async def step(self, step: WorkflowStep) -> StepOutcome:
        """React to one event.

        Raises:
            WorkflowFailure: User code raised an exception, which ends the workflow.
            ViolationError: Anything else is wrong; nothing is stored or published.
        """
        ...


class WorkflowFailure(Exception):
    """What user code raised; the workflow ends with it as data.

    Attributes:
        error: The exception.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(type(error)))
        self.error = error


async def user_code(running: Awaitable[_T], *, reads: StoredReads) -> _T:
    """Await user code, and separate what it raises from what goes wrong around it.

    Raises:
        WorkflowFailure: It raised an ordinary exception.
        ViolationError: It raised a violation, or a group of nothing but violations. Or it could
            not read stored data, however it dealt with that.
    """
    try:
        returned = await running
    except Exception as error:
        _check(reads)
        raise_violation(error)
        raise WorkflowFailure(error) from error
    finally:
        reads.over = True
    _check(reads)
    return returned


def _check(reads: StoredReads) -> None:
    if reads.failure is not None:
        raise reads.failure from reads.failure.__cause__
