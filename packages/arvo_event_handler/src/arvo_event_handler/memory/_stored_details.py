"""What a record says about its workflow that no listing has: its failure and its timers."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from ._kept_event import WireEvent
from ._memory import Record
from ._pending_timers import timer_name
from ._record import read_head


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFailure:
    """Why a workflow has failed."""

    error: JsonValue
    """What was raised, by name, message and stack."""
    event: WireEvent | None
    """The event at which it failed, as on the wire; None where the record does not say, as of one
    that the TypeScript version has written. Such a workflow cannot be retried."""
    attempt: int
    """How often the workflow has failed so far, which is what `WorkflowControl.retry` takes; 0 where
    the record does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTimer:
    """A timer that has not fired yet."""

    name: str
    """Its name, as in `Timer`; of a machine, the id of a delayed event, or the type of an `after`."""
    key: str
    """Which setting of that name it is."""
    at: datetime
    """When it is due, in UTC."""
    event: WireEvent | None
    """The event that leaves when it is due; None of a timer that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDetails:
    """What a record says, and a `StoredWorkflow` does not."""

    failure: StoredFailure | None
    """None unless the workflow has failed."""
    timers: tuple[StoredTimer, ...]
    """Those that are pending, the earliest first."""


def stored_details(record: Record, *, subject: str) -> StoredDetails:
    """Return what a record says about the failure and the timers of its workflow.

    Args:
        record: As `read` of a memory returns it.
        subject: The workflow's subject.

    Raises:
        UnreadableRecordError: It is not the record of a workflow.

    Example:
        >>> record = {"executionStatus": "normal", "status": "active", "initEventId": "order-7"}
        >>> stored_details(record, subject="...").timers
        ()
    """
    state = read_head(record, subject)
    failure = None
    if state.failed:
        failed = state.failure
        failure = StoredFailure(
            error=state.error,
            event=None if failed is None else failed.consumed.wire(),
            attempt=0 if failed is None else failed.attempt,
        )
    timers = [
        StoredTimer(name=timer_name(key), key=key, at=timer.at, event=timer.event)
        for key, timer in state.timers.items()
    ]
    return StoredDetails(failure=failure, timers=tuple(sorted(timers, key=lambda each: each.at)))
