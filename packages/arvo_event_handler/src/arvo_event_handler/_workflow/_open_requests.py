"""Which answers a workflow accepts."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from arvo_core import ArvoEvent, VersionedArvoContract
from arvo_event_handler._errors import ExecutionViolation, UnreadableRecordError
from arvo_event_handler.memory._open_requests import OpenRequest

from ._stored_record import unreadable

Answers: TypeAlias = Literal["any", "awaited"]
"""Which answers a workflow accepts. `any`: everything that one of its services can emit. `awaited`:
the first answer to a request of its own, from the service that was asked."""


def check_answers(answers: object) -> Answers:
    """Return `answers`.

    Raises:
        ValueError: It is neither "any" nor "awaited".
    """
    if answers == "any":
        return "any"
    if answers == "awaited":
        return "awaited"
    raise ValueError(f'answers must be "any" or "awaited", got {answers!r}')


def check_answer(
    event: ArvoEvent,
    service: VersionedArvoContract[Any],
    *,
    open_requests: Mapping[str, OpenRequest],
) -> None:
    """Check that an event answers an open request, and comes from where that one went.

    The ids of events are predictable, so any publisher could answer in a service's place. A
    workflow that keeps its open requests refuses such answers, unless they also forge the source.
    A request that left for a domain may be answered from another source.

    Args:
        event: The answer.
        service: The service whose contract describes it.
        open_requests: The unanswered requests, by their ids.

    Raises:
        ExecutionViolation: It does not; delivering again cannot help.
        TransactionViolation: The stored request is damaged.
    """
    where = f"event {event.id!r} of type {event.type!r}"
    request = None if event.parentid is None else open_requests.get(event.parentid)
    if request is None:
        raise ExecutionViolation(
            f"{where} answers request {event.parentid!r}, which is not open: the workflow did "
            'not send it, or already has its answer; use answers="any" to accept every answer'
        )
    if service.type != request.asked:
        raise ExecutionViolation(
            f"{where} answers request {event.parentid!r} as {service.type!r} would; "
            f"{request.asked!r} was asked"
        )
    try:
        source = request.source
    except UnreadableRecordError as error:
        raise unreadable(event.subject, f"an open request: {error}") from error
    if source not in (None, event.source):
        raise ExecutionViolation(
            f"{where} answers request {event.parentid!r} from {event.source!r}; "
            f"{source!r} was asked"
        )
