"""Events that could not be handled, and what their senders get instead of an answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from arvo_core import PARENT_SUBJECT, ArvoContract, ArvoEvent, ArvoEventFactory, SystemErrorData
from arvo_core.event_id import derive_id
from arvo_event_handler._errors import RetryableFailure


class DeadLetterReason(StrEnum):
    """Why an event became a dead letter."""

    EXHAUSTED = "exhausted"
    """Every try of the budget failed."""
    NOT_RETRYABLE = "not retryable"
    """A violation that says that another try cannot help."""
    THROWN = "thrown"
    """`on_error` said so."""
    CONTENTION = "contention"
    """Others handled its workflow all through `contention_timeout`."""
    OUTPUT_MIDDLEWARE = "output middleware"
    """A handler emitted it and its output middleware failed; what caused it was handled."""
    UNROUTABLE = "unroutable"
    """No handler listens at its address."""
    UNCLAIMED = "unclaimed"
    """An answer that no caller waits for (any more), without an `on_unclaimed`."""
    CANCELLED = "cancelled"
    """The task that handled it was ended, and not by the broker: user code cancelled the task it
    runs in or ended the program, the event loop is ending, or a clock or a source of chance of
    one's own failed, which is the error then."""
    CLOSED = "closed"
    """The broker was closed before the event was handled."""
    REDELIVERED_TOO_OFTEN = "redelivered too often"
    """Worker after worker ended while it had the event in hand."""
    UNKNOWN_VERSION = "unknown version"
    """No worker knows the version of its contract, or of its workflow's record."""
    UNPARSABLE = "unparsable"
    """The bytes are not an event."""
    EXPIRED = "expired"
    """Its `expirytime` had passed before it was handled."""
    TOO_LARGE = "too large"
    """The engine of the transport takes no event of this size."""
    NOT_ACCEPTED = "not accepted"
    """It came in by the door of a transport, and may not."""
    ANSWERS_NOTHING = "answers nothing"
    """It is addressed to a client, and has no `parentid` that says which request it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that was not handled, for keeping, looking at and publishing again."""

    event: ArvoEvent
    """The event, as it was published."""
    error: Exception
    """The last error."""
    attempts: int
    """How many tries failed; 0 when none was made."""
    deliveries: int = 1
    """How often the event was delivered; always 1 within one process."""
    handler: str | None
    """The topic of the handler that was to handle it; None when there is none."""
    reason: DeadLetterReason
    """Why it is dead."""
    replied: bool = False
    """Whether its sender was sent a system error."""


DeadLetterListener: TypeAlias = Callable[[DeadLetter], Awaitable[None]]
"""Receives dead letters."""


def dead_letter_reply(letter: DeadLetter, *, contract: ArvoContract) -> list[ArvoEvent]:
    """Return the system errors that answer a dead request; none when it is not a request.

    A `RetryableFailure` brings them along, as its handler would have returned them. Any other
    reply has an id of its own making, so that the same letter gives the same reply.

    Args:
        letter: The letter.
        contract: The contract of the handler that the event was for.
    """
    event = letter.event
    if event.type != contract.type:
        return []  # an answer on its way to a workflow; its sender waits for nothing
    error = letter.error
    if isinstance(error, RetryableFailure):
        if error.replies:
            return [*error.replies]
        if isinstance(error.__cause__, Exception):
            error = error.__cause__
    parent = event.data.get(PARENT_SUBJECT)
    reply = ArvoEventFactory(contract.version("any")).system_error(
        id=derive_id("dead letter", event.source, event.id),
        # What went wrong is about the system, not the request: stacks stay in the log.
        error=SystemErrorData.from_exception(error, stack=False),
        source=contract.type,
        subject=parent if isinstance(parent, str) else event.subject,
        to=event.source,
        parentid=event.id,
        traceparent=event.traceparent,
        tracestate=event.tracestate,
        accesscontrol=event.accesscontrol,
    )
    return [reply]
