"""A workflow as a memory lists it, without its record."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from ._summary import WorkflowSummary


@dataclass(slots=True, kw_only=True)
class StoredWorkflow(WorkflowSummary):
    """What its latest commit said about a workflow, and what the memory knows beside it.

    All times are in UTC.
    """

    subject: str
    """The workflow's subject, which is its machine id."""
    record_version: int
    """How often the record was written."""
    created_at: datetime
    """When the workflow started, as the memory noted it at the first lease or the first write."""
    updated_at: datetime
    """When the record was last written."""
    expires_at: datetime | None
    """When the record will be forgotten; None means never."""
    lease_until: datetime | None
    """When the lease ends under which it runs at this moment; None when it is not leased."""

    @classmethod
    def of(
        cls,
        summary: WorkflowSummary,
        *,
        subject: str,
        root: str,
        record_version: int,
        created_at: datetime,
        updated_at: datetime,
        expires_at: datetime | None,
        lease_until: datetime | None,
    ) -> Self:
        """Make one from what a commit said.

        Args:
            summary: What it said.
            subject: See the class.
            root: The subject of the topmost workflow, which a memory may know better.
            record_version: See the class.
            created_at: See the class.
            updated_at: See the class.
            expires_at: See the class.
            lease_until: See the class.
        """
        said: dict[str, Any] = {
            field.name: getattr(summary, field.name) for field in fields(WorkflowSummary)
        }
        return cls(
            **{**said, "root": root},
            subject=subject,
            record_version=record_version,
            created_at=created_at,
            updated_at=updated_at,
            expires_at=expires_at,
            lease_until=lease_until,
        )
