"""Reads the members of a workflow's record; a damaged one is refused, never acted upon."""

from typing import Any, TypeVar

from arvo_core import ArvoEvent, ArvoOrchestrationSubject, InvalidDataError, Payload
from arvo_event_handler._errors import (
    ConfigViolation,
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.memory._memory import Record
from arvo_event_handler.memory._record_codec import decode_record, encode_record

from ._open_requests import OpenRequests
from ._redelivery import MEMBER, Redelivery

T = TypeVar("T")

CONTEXT = "state$$"
"""The record's member that holds a resumable's context."""


def unreadable(subject: str, why: str) -> TransactionViolation:
    """Return the violation for a record that is not a workflow's; redelivery cannot help."""
    return TransactionViolation(
        f"what the machine memory holds is not a workflow's record: {why}",
        cause=TransactionViolationCause.READ_FAILURE,
        subject=subject,
        retryable=False,
    )


def read_redelivery(record: Record, subject: str) -> Redelivery:
    """Return what the workflow has seen and what it may have to send again.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    try:
        return Redelivery.of(record)
    except Exception as error:
        raise unreadable(subject, repr(error)) from error


def read_open_requests(record: Record, subject: str) -> OpenRequests | None:
    """Return the requests that the workflow waits for; None when its record does not say.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    try:
        return OpenRequests.of(record.get(MEMBER))
    except Exception as error:
        raise unreadable(subject, f"its open requests: {type(error).__name__}") from error


def unanswered(redelivery: Redelivery, event: ArvoEvent, *, is_init: bool) -> list[ArvoEvent]:
    """Return what to send again for an event seen before; see `Redelivery.unanswered`.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    try:
        return redelivery.unanswered(event, is_init=is_init)
    except Exception as error:
        raise unreadable(event.subject, f"an output kept to be sent again: {error}") from error


def has_ended(record: Record, subject: str) -> bool:
    """Return whether the workflow is done or has failed.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    execution = record.get("executionStatus")
    if execution == "failure":
        return True
    status = record.get("status")
    if execution != "normal" or not isinstance(status, str):
        raise unreadable(subject, "its executionStatus or status is missing or unknown")
    return status == "done"


def init_event_id(event: ArvoEvent, record: Record | None) -> str:
    """Return the id of the event that started the workflow: this one, when there is no record.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    if record is None:
        return event.id
    stored = record.get("initEventId")
    if not isinstance(stored, str):
        raise unreadable(event.subject, "its initEventId is not a string")
    return stored


def parent_subject(record: Record, subject: str) -> str | None:
    """Return the subject of the workflow that asked for this one; None at the root.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    stored = record.get("parentSubject")
    if stored is None:
        return None
    if not isinstance(stored, str) or not ArvoOrchestrationSubject.is_valid(stored):
        raise unreadable(subject, "its parentSubject is not an orchestration subject")
    return stored


def answers_by_request(record: Record | None, subject: str) -> dict[str, list[Any]] | None:
    """Return the latest requests' ids with the answers collected so far, as new lists.

    Returns:
        None when nothing was requested yet, or the workflow does not collect.

    Raises:
        TransactionViolation: The record is not a workflow's.
    """
    events = None if record is None else record.get("events")
    if events is not None and not isinstance(events, dict):
        raise unreadable(subject, "its events is not an object")
    stored = None if events is None else events.get("expected")
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise unreadable(subject, "its events.expected is not an object")
    answers: dict[str, list[Any]] = {}
    for request, collected in stored.items():
        if not isinstance(collected, list) or not all(map(_is_event, collected)):
            raise unreadable(subject, "a member of its events.expected is not a list of events")
        answers[request] = list(collected)
    return answers


def stored_state(record: Record, subject: str) -> dict[str, Any]:
    """Return a machine's state, as stored.

    Raises:
        TransactionViolation: The record is not an orchestrator's.
    """
    state = record.get("state")
    if not isinstance(state, dict):
        raise unreadable(subject, "its state is not an object, so it is not an orchestrator's")
    return state


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


def visible(record: Record, subject: str) -> Record:
    """Copy a record as users may see it: without their context and Arvo's own notes.

    Raises:
        TransactionViolation: The record is not JSON.
    """
    shown = {name: value for name, value in record.items() if name not in {MEMBER, CONTEXT}}
    try:
        return decode_record(encode_record(shown))
    except MachineMemoryError as error:
        raise unreadable(subject, str(error)) from error


def _is_event(answer: object) -> bool:
    return isinstance(answer, dict) and all(
        isinstance(answer.get(name), str) for name in ("id", "source", "type")
    )
