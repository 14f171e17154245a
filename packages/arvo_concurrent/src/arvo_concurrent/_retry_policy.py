"""How often a failed try is repeated."""

from dataclasses import dataclass
from datetime import timedelta

from arvo_event_handler import Backoff

_BACKOFF = Backoff(initial=timedelta(milliseconds=100), maximum=timedelta(seconds=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after which delays a broker tries again.

    Raises:
        ValueError: `retries` is negative.

    Example:
        >>> RetryPolicy(retries=0).retries
        0
    """

    retries: int = 3
    """How many tries may follow the first one. Zero: one try in all."""
    backoff: Backoff = _BACKOFF
    """The delays between them. A waiting event holds no slot of its handler."""

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError(f"retries must not be negative, got {self.retries}; 0 is one try")
