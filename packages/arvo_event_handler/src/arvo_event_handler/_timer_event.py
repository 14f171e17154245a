"""The event that fires a timer."""

from datetime import datetime

from arvo_core import ArvoEvent, ArvoOrchestrationSubject
from arvo_core.event_id import derive_id

from .memory._pending_timers import TIMER_DUE


def tick_id(subject: str, key: str) -> str:
    """Return the id of the tick of a timer.

    Args:
        subject: The workflow's subject.
        key: The timer's key in the record.
    """
    return derive_id(subject, "timer", key)


def timer_event(
    subject: str, *, key: str, at: datetime, due_by: datetime, now: datetime
) -> ArvoEvent:
    """Make the tick of a timer, for the workflow that waits for it.

    Any two ticks of one timer are the same event, so that the workflow fires it once.

    Args:
        subject: The workflow's subject.
        key: The timer's key in the record.
        at: When it was due.
        due_by: The memory's time at the claim.
        now: The event's time.

    Raises:
        InvalidSubjectError: `subject` is not an orchestration subject.
    """
    workflow = ArvoOrchestrationSubject.parse(subject).orchestrator.name
    return ArvoEvent.create(
        id=tick_id(subject, key),
        # The same whoever sends it: a workflow knows an event by its source and id.
        source=workflow,
        type=TIMER_DUE,
        subject=subject,
        to=workflow,
        time=now,
        data={"key": key, "at": at.isoformat(), "due_by": due_by.isoformat()},
    )
