"""What a broker has to do at this moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicStats:
    """What one handler has to do."""

    prefetch: int
    """Maximum number of events that it works on at a time."""
    queued: int
    """Events that wait for it, or for an event of the same subject before them."""
    running: int
    """Events it works on."""
    sleeping: int
    """Events that wait for their next try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStats:
    """What a broker has to do."""

    queued: int
    """Events that wait for a handler or for their next try; what `max_queued` bounds."""
    unfinished: int
    """Events that are not done, including those being handled and reports to listeners."""
    topics: Mapping[str, TopicStats]
    """By topic, one for each handler."""


class HasStats(Protocol):
    """Whatever has statistics."""

    @property
    def stats(self) -> BrokerStats:
        """What there is to do at this moment."""
        ...
