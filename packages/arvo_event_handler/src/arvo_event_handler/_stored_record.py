"""Reads what a workflow's record says; a damaged one is refused, never acted upon."""

from typing import Any

from arvo_core import ArvoEvent, InvalidEventError

from ._errors import TransactionViolation, TransactionViolationCause
from ._memory import Record
from ._open_requests import OpenRequests
from ._record_codec import decode_record, encode_record
from ._redelivery import MEMBER, Redelivery

CONTEXT = "state$$"
"""The record's member that holds a resumable's context."""


def unreadable(subject: str, why: str) -> TransactionViolation:
    """Make the violation that says a record is no workflow's; delivering again cannot help."""
    return TransactionViolation(
        f"what the machine memory holds is not a workflow's record: {why}",
        cause=TransactionViolationCause.READ_FAILURE,
        subject=subject,
        retryable=False,
    )


def read_redelivery(record: Record, subject: str) -> Redelivery:
    """Return what the workflow has seen and what it may have to send again.

    Raises:
        TransactionViolation: The record is no workflow's.
    """
    try:
        return Redelivery.of(record)
    except Exception as error:
        raise unreadable(subject, repr(error)) from error


def read_open_requests(record: Record, subject: str) -> OpenRequests | None:
    """Return the requests that the workflow waits for; None when its record does not say.

    Raises:
        TransactionViolation: The record is no workflow's.
    """
    try:
        return OpenRequests.of(record.get(MEMBER))
    except Exception as error:
        raise unreadable(subject, f"its open requests: {type(error).__name__}") from error


def unanswered(redelivery: Redelivery, event: ArvoEvent, *, is_init: bool) -> list[ArvoEvent]:
    """Return what to send again for an event seen before; see `Redelivery.unanswered`.

    Raises:
        TransactionViolation: The record is no workflow's.
    """
    try:
        return redelivery.unanswered(event, is_init=is_init)
    except InvalidEventError as error:
        raise unreadable(event.subject, f"what it keeps to send again: {error}") from error


def init_event_id(event: ArvoEvent, record: Record | None) -> str:
    """Return the id of the event that started the workflow: this one, when there is no record.

    Raises:
        TransactionViolation: The record is no workflow's.
    """
    if record is None:
        return event.id
    stored = record.get("initEventId")
    if not isinstance(stored, str):
        raise unreadable(event.subject, "its initEventId is no text")
    return stored


def answers_by_request(record: Record | None, subject: str) -> dict[str, list[Any]] | None:
    """Return the latest requests' ids with the answers collected so far, as fresh lists.

    Returns:
        None when nothing was requested yet, or the workflow does not collect.

    Raises:
        TransactionViolation: The record is no workflow's.
    """
    events = None if record is None else record.get("events")
    stored = events.get("expected") if isinstance(events, dict) else None
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise unreadable(subject, "its events.expected is no object")
    answers: dict[str, list[Any]] = {}
    for request, collected in stored.items():
        if not isinstance(collected, list) or not all(map(_is_event, collected)):
            raise unreadable(subject, f"its events.expected[{request!r}] is no list of events")
        answers[request] = list(collected)
    return answers


def stored_state(record: Record, subject: str) -> dict[str, Any]:
    """Return where a machine is, as stored.

    Raises:
        TransactionViolation: The record is no orchestrator's.
    """
    state = record.get("state")
    if not isinstance(state, dict):
        raise unreadable(subject, "its state is no object, so it is not one of a state machine")
    return state


def visible(record: Record) -> Record:
    """Copy a record as users may see it: without their context and Arvo's own notes."""
    shown = {name: value for name, value in record.items() if name not in {MEMBER, CONTEXT}}
    return decode_record(encode_record(shown))


def _is_event(answer: object) -> bool:
    return isinstance(answer, dict) and all(
        isinstance(answer.get(name), str) for name in ("id", "source", "type")
    )
