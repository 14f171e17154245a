"""What queries tell about a workflow."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorkflow:
    """A workflow as its row shows it; its record is what `read` returns."""

    subject: str
    """The machine id."""
    version: int
    """How often its record was written."""
    status: str | None
    """`active`, `done`, or `failure`; None when the record says none."""
    parent: str | None
    """Subject of the workflow that asked for this one; None for none."""
    root: str | None
    """Subject of the workflow at the top, which may be this one; None when `subject` is no
    orchestration subject."""
    initiator: str | None
    """Source of the event that started it; None when `subject` is no orchestration subject."""
    source: str | None
    """The workflow's own address; None when `subject` is no orchestration subject."""
    created_at: datetime
    """When it was first seen."""
    updated_at: datetime
    """When its record was last written."""
    expires_at: datetime | None
    """When it will be forgotten; None for never."""
