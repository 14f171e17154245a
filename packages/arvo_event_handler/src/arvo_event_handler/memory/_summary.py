"""What every commit says about its workflow, so that workflows can be searched."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

WorkflowStatus: TypeAlias = Literal["active", "done", "failure"]
"""How a workflow stands. `failure`: it ended with a system error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSummary:
    """A workflow as of one commit: what a memory can search without reading the record."""

    status: WorkflowStatus
    """`active` until the workflow has ended."""
    finished: bool
    """Whether the workflow has ended, completed or failed."""
    source: str
    """The workflow's type, which is the source of its events."""
    key: str
    """The id that people use for the workflow: the execution id of its subject if one was chosen,
    else the id of the event that started it."""
    version: str
    """The version of the workflow's contract."""
    initiator: str
    """The source of the event that started it."""
    parent: str | None = None
    """The subject of the workflow that asked for this one; None when no workflow did."""
    root: str
    """The subject of the topmost workflow as far as this one knows: its parent's, or its own. A
    memory that has the parent's row takes the root from there."""
    waits_for: tuple[str, ...] = ()
    """The event types that it waits for, at most 8."""
    waits_since: datetime | None = None
    """When it began to wait; None when it does not wait."""
    due: datetime | None = None
    """When its next timer fires; None when it has none."""
    error: str | None = None
    """The name of the error that it failed with; None unless it failed."""
