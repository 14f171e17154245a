"""Events to a workflow itself: go on after a failure, end, ask again, fire a timer.

They go to the workflow's address under its subject, from any source and domain, and need no
contract.
"""

from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict
from typing_extensions import Unpack

from arvo_core import (
    ArvoEvent,
    ArvoOrchestrationSubject,
    EventOptions,
    InvalidDataError,
    Payload,
)
from arvo_core.telemetry import current_trace_headers
from arvo_event_handler._errors import ContractViolation
from arvo_event_handler.memory._pending_timers import TIMER_DUE


class _ControlData(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


class Retry(_ControlData):
    """Run the step that failed again."""

    attempt: Annotated[int, Strict(), Field(ge=1)]
    """How often the workflow has failed so far: which failure is meant."""
    detached: Annotated[bool, Strict()] = False
    """Whether a child workflow may be retried, though its parent has consumed the failure."""


class Cancel(_ControlData):
    """End the workflow as a failure."""

    reason: Annotated[str, Strict(), Field(min_length=1)]
    """Why; the initiator reads it."""


class Wake(_ControlData):
    """Send again what waits for an answer."""


class Tick(_ControlData):
    """Fire a timer; see `timer_event`."""

    key: Annotated[str, Strict(), Field(min_length=1)]
    """Its key in the record."""
    at: AwareDatetime
    """When it was due."""
    due_by: AwareDatetime
    """The memory's time when it was claimed: what is due by then need not be claimed itself."""


Control: TypeAlias = Retry | Cancel | Wake | Tick

RETRY: Final = "arvo.workflow.retry"
CANCEL: Final = "arvo.workflow.cancel"
WAKE: Final = "arvo.workflow.wake"
_PAYLOADS: Final[dict[str, Payload[Any]]] = {
    RETRY: Payload(Retry),
    CANCEL: Payload(Cancel),
    WAKE: Payload(Wake),
    TIMER_DUE: Payload(Tick),
}


def read_control(event: ArvoEvent) -> Control | None:
    """Return what an event asks of the workflow itself; None when it is not of that kind.

    Raises:
        ContractViolation: The data does not match the event's type.
    """
    payload = _PAYLOADS.get(event.type)
    if payload is None:
        return None
    try:
        control: Control = payload.parse(event.data, is_json=True)
    except InvalidDataError as error:
        raise ContractViolation(f"event {event.id!r} of type {event.type!r}: {error}") from error
    return control


class WorkflowControl:
    """Makes the events that retry, cancel or wake one workflow; publish them as any other.

    The workflow takes them from any source and domain. A copy of an event that is delivered again
    does nothing a second time.

    Args:
        subject: The workflow's subject, as in every event of it.
        source: The sender.

    Raises:
        InvalidSubjectError: `subject` is not an orchestration subject.

    Example:
        >>> subject = ArvoOrchestrationSubject.new(
        ...     orchestrator="arvo.orc.order", version="1.0.0", initiator="com.app.main"
        ... )
        >>> control = WorkflowControl(subject, source="com.app.operator")
        >>> retry = control.retry(attempt=1)
        >>> retry.type, retry.to, retry.data
        ('arvo.workflow.retry', 'arvo.orc.order', {'attempt': 1, 'detached': False})
        >>> control.cancel("ordered twice").data
        {'reason': 'ordered twice'}
    """

    def __init__(self, subject: str, *, source: str) -> None:
        self._to = ArvoOrchestrationSubject.parse(subject).orchestrator.name
        self.subject: str = subject
        """The workflow's subject."""
        self.source: str = source
        """The sender."""

    def retry(
        self, *, attempt: int, detached: bool = False, **options: Unpack[EventOptions]
    ) -> ArvoEvent:
        """Make the event that runs the failed step again.

        The workflow's failure is taken back, and the event at which its code raised is handled once
        more. If the workflow then goes on, what earlier steps still wait for is asked again. The
        initiator, who has got the system error, now gets the completion.

        Args:
            attempt: How often the workflow has failed so far, `failure.attempt` of its record. Two
                events with the same attempt are one retry.
            detached: Retry a child workflow alone. Its parent has consumed the failure and drops
                the completion, so without this a child is refused.
            options: See `EventOptions`.

        Raises:
            InvalidDataError: `attempt` is not an int of at least 1, or `detached` not a bool.
            InvalidEventError: An attribute breaks a rule.
        """
        return self._make(RETRY, {"attempt": attempt, "detached": detached}, options)

    def cancel(self, reason: str, **options: Unpack[EventOptions]) -> ArvoEvent:
        """Make the event that ends the workflow immediately, as a failure.

        The initiator gets a system error with the name `WorkflowCancelled`. Services that work for
        the workflow go on, and their answers are ignored. A workflow that has ended stays as it is.

        Args:
            reason: Why, the message of the system error; not empty.
            options: See `EventOptions`.

        Raises:
            InvalidDataError: `reason` is not a string, or empty.
            InvalidEventError: An attribute breaks a rule.
        """
        return self._make(CANCEL, {"reason": reason}, options)

    def wake(self, **options: Unpack[EventOptions]) -> ArvoEvent:
        """Make the event that sends again what still waits for an answer, under the same ids.

        For what was lost on its way. A workflow that has ended sends its end again.

        Args:
            options: See `EventOptions`.

        Raises:
            InvalidEventError: An attribute breaks a rule.
        """
        return self._make(WAKE, {}, options)

    def _make(self, kind: str, data: dict[str, object], options: EventOptions) -> ArvoEvent:
        wire = _PAYLOADS[kind].to_event_data(data)
        if options.get("traceparent") is None:
            headers = current_trace_headers()
            if headers.traceparent is not None:
                options = {**options, **headers._asdict()}  # type: ignore[typeddict-item]
        addressed: EventOptions = {"to": self._to, **options}
        return ArvoEvent.create(
            type=kind, source=self.source, subject=self.subject, data=wire, **addressed
        )
