"""Lanes: limits of what a worker does at the same time."""

from dataclasses import dataclass
from datetime import timedelta

from arvo_event_store.stores import check_lease
from arvo_time.settings import check_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """How much a worker does at the same time for the reactions of a lane.

    Reactions in different lanes do not wait for each other.

    Raises:
        TypeError: A field is of another type.
        ValueError: A number is below 1, or `ttl` below 100 ms or above a day.

    Example:
        >>> Lane(concurrency=4).max_events
        100
    """

    concurrency: int = 16
    """How many targets are worked for at the same time."""
    max_events: int = 100
    """How many events of a target are read at once, at most."""
    max_bytes: int = 4 * 1024 * 1024
    """How long the JSON of their data is at most, in bytes; the first is read whatever its length."""
    ttl: timedelta = timedelta(seconds=30)
    """How long a target stays taken when its worker dies. A worker that lives renews it, so a handler
    may take longer."""

    def __post_init__(self) -> None:
        check_count(self.concurrency, name="concurrency", least=1)
        check_count(self.max_events, name="max_events", least=1)
        check_count(self.max_bytes, name="max_bytes", least=1)
        check_lease(self.ttl)
