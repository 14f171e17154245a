"""What a commit says about the earliest timer of its workflow."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTimer:
    """The earliest pending timer of one workflow: what a memory indexes."""

    at: datetime
    """When it is due, with a time zone; whole milliseconds."""
    key: str
    """The key of the timer in the record."""

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"NextTimer: at must have a time zone, got {self.at.isoformat()}")
        if not self.key:
            raise ValueError("NextTimer: key must not be empty")


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""What `RecordWrite.timer` is where a commit does not move the workflow's earliest timer."""
