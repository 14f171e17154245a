"""What the sender of a dead-lettered request gets instead of an answer."""

from arvo_core import (
    PARENT_SUBJECT,
    ArvoContract,
    ArvoEvent,
    ArvoEventFactory,
    SystemErrorData,
    derive_id,
)
from arvo_event_handler import RetryableFailure

from ._dead_letter import DeadLetter


def dead_letter_reply(letter: DeadLetter, contract: ArvoContract) -> list[ArvoEvent]:
    """Return the system errors that answer a dead request; none when it is no request.

    A `RetryableFailure` brings them along, as its handler would have returned them. Any other
    reply has an id of its own making, so that the same letter gives the same reply.
    """
    event = letter.event
    if event.type != contract.type:
        return []  # an answer on its way to a workflow; whoever sent it waits for nothing
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
