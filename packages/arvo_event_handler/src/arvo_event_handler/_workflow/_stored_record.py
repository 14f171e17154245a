"""Reads the members of a workflow's record; a damaged one is refused, never acted upon."""

from collections.abc import Iterable
from typing import Any, TypeVar

from arvo_core import ArvoEvent, ArvoOrchestrationSubject, InvalidDataError, Payload
from arvo_event_handler._errors import (
    ConfigViolation,
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler._stored_event import stored_event
from arvo_event_handler.memory._kept_event import KeptEvent
from arvo_event_handler.memory._memory import Record
from arvo_event_handler.memory._record import MACHINE_STATE, shown_to_users, write_state
from arvo_event_handler.memory._state import WorkflowState

T = TypeVar("T")


def unreadable(subject: str, why: str) -> TransactionViolation:
    """Return the violation for a record that is not a workflow's; redelivery cannot help."""
    return TransactionViolation(
        f"what the machine memory holds is not a workflow's record: {why}",
        cause=TransactionViolationCause.READ_FAILURE,
        subject=subject,
        retryable=False,
    )


def stored_outputs(outputs: Iterable[KeptEvent], subject: str) -> list[ArvoEvent]:
    """Return events that are sent again.

    Raises:
        TransactionViolation: One of them is not an event.
    """
    try:
        return [stored_event(output.wire()) for output in outputs]
    except Exception as error:
        raise unreadable(subject, f"an output kept to be sent again: {error}") from error


def stored_parent_subject(state: WorkflowState) -> str | None:
    """Return the subject of the workflow that asked for this one; None at the root.

    Raises:
        TransactionViolation: It is not an orchestration subject.
    """
    parent = state.parent_subject
    if parent is not None and not ArvoOrchestrationSubject.is_valid(parent):
        raise unreadable(state.subject, "its parentSubject is not an orchestration subject")
    return parent


def stored_machine_state(state: WorkflowState) -> dict[str, Any]:
    """Return a machine's state, as stored.

    Raises:
        TransactionViolation: The record is not an orchestrator's.
    """
    stored = state.members.get(MACHINE_STATE)
    if not isinstance(stored, dict):
        raise unreadable(
            state.subject, "its state is not an object, so it is not an orchestrator's"
        )
    return stored


def parse_stored(payload: Payload[T], data: object, *, what: str) -> T:
    """Parse data that an earlier step stored, with the type that the deployed code has for it.

    Raises:
        ConfigViolation: The deployed code can no longer read it; the event is not at fault.
    """
    try:
        # Parsing copies at every depth: what users change is never written by accident.
        return payload.parse(data)
    except Exception as error:
        # A validator may raise anything.
        said = isinstance(error, InvalidDataError)
        why = str(error) if said else f"{payload.name} raised {type(error).__name__}: {error}"
        raise ConfigViolation(
            f"{what} does not fit {payload.name}; deploy a version that can read it, then deliver "
            f"again. {why}"
        ) from error


def visible(state: WorkflowState) -> Record:
    """Return a copy of a workflow's record as users may see it; see `shown_to_users`.

    Raises:
        TransactionViolation: What is stored is damaged, or not JSON.
    """
    try:
        return shown_to_users(write_state(state))
    except MachineMemoryError as error:
        raise unreadable(state.subject, str(error)) from error
