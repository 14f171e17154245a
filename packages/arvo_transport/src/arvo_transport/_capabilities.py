"""What an engine can and cannot do."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportCapabilities:
    """What an engine can do, for those who build on its transport."""

    ordered: bool
    """Whether it keeps the order of topics that have one. If not, it carries no workflows."""
    atomic_settle: bool
    """Whether outputs and acknowledgement are stored in one step. If not, in this order: a worker
    that dies between leaves outputs that come again, with the same ids."""
    longest_delay: timedelta | None
    """How far ahead `publish(at=)` may be; `timedelta.max` for any time, None when it cannot."""
    duplicates_dropped_for: timedelta | None
    """How long a repeated publication is swallowed; `timedelta.max` for as long as the event is kept,
    None for never."""
    counts_returns: bool
    """Whether an event that is given back counts as delivered all the same."""
    max_event_bytes: int
    """The longest event as JSON, in bytes of UTF-8."""
    joins: object = None
    """The database on whose transactions `Done.work` may run; None when there is none."""
    keeps_answers: timedelta | None = None
    """How long answers stay in an answer box; None when it has none (`IAnsweringTransport`)."""
