"""What a worker did, and how it is."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True, kw_only=True)
class WorkerStats:
    """What a worker did since it was made, and what it does now: a copy, which does not change."""

    handled: int = 0
    """How many events were handled, and what was staged for them stored."""
    retried: int = 0
    """How many tries failed, and follow again."""
    postponed: int = 0
    """How many tries asked to be made later."""
    blocked: int = 0
    """How many targets were blocked."""
    parked: int = 0
    """How many events were parked, those that could not be routed included."""
    contended: int = 0
    """How many tries were made again because somebody else appended meanwhile."""
    lost: int = 0
    """How many leases were lost while they were worked under."""
    claimed: int = 0
    """How many leases were taken."""
    running: int = 0
    """How many targets are worked for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """How a worker is."""

    status: Literal["ok", "degraded", "down"]
    """Whether all is well, something fails and is tried again, or nothing can be done."""
    reasons: tuple[str, ...] = ()
    """What fails."""
