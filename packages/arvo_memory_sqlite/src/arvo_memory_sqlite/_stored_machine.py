"""What can be asked about the workflows of a memory."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """One workflow as a memory lists it, without its record."""

    machine_id: str
    """The workflow's subject."""
    status: str | None
    """`failure` when the workflow failed, else what its record calls `status`: `active` or
    `done`. None when the record does not say."""
    version: int
    """How often the record was written."""
    parent: str | None
    """The subject of the workflow that started this one; None for one that nobody started."""
    root: str
    """The subject of the workflow at the top; its own when nobody started it."""
    updated_at: datetime
    """When the record was last written, in UTC."""
    expires_at: datetime | None
    """When the record will be forgotten, in UTC; None when it is kept."""
