"""Makes the argument of `commit` for tests that have a record but no workflow."""

from datetime import timedelta

from arvo_event_handler.memory import (
    UNCHANGED,
    NextTimer,
    Record,
    RecordWrite,
    Unchanged,
    WorkflowStatus,
    WorkflowSummary,
)
from arvo_event_handler.memory._record_write import Frees


def record_write(
    record: Record,
    *,
    tail: bytes = b"",
    chunk: bytes | None = None,
    frees: Frees = "none",
    timer: NextTimer | Unchanged | None = UNCHANGED,
    expires_in: timedelta | None = None,
) -> RecordWrite:
    """Return a `RecordWrite` with a made-up summary, for tests of memories.

    Its status and parent are read from the record; the other facts are constants.

    Example:
        >>> record_write({"status": "done"}).summary.finished
        True
    """
    said, parent = record.get("status"), record.get("parentSubject")
    status: WorkflowStatus = "done" if said == "done" else "active"
    if record.get("executionStatus") == "failure":
        status = "failure"
    return RecordWrite(
        record=record,
        summary=WorkflowSummary(
            status=status,
            finished=status != "active",
            source="suite.order",
            key="order-7",
            version="1.0.0",
            initiator="com.suite.main",
            parent=parent if isinstance(parent, str) else None,
            root=parent if isinstance(parent, str) else "order-7",
            due=timer.at if isinstance(timer, NextTimer) else None,
            error="Error" if status == "failure" else None,
        ),
        tail=tail,
        chunk=chunk,
        frees=frees,
        timer=timer,
        expires_in=expires_in,
    )
