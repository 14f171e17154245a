"""How a stateful handler treats its stored state."""

from dataclasses import dataclass
from datetime import timedelta

from arvo_event_handler.memory._owed_outputs import REDELIVERY_WINDOW
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import TEN_YEARS, check_clock, check_count, check_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPolicy:
    """How a stateful handler treats its stored state.

    Raises:
        TypeError: An expiry is neither a timedelta nor None, `redelivery_window` or `warm_bytes`
            not an int, or `clock` not a `Clock`.
        ValueError: An expiry is negative or zero, `redelivery_window` below 1, or `warm_bytes`
            below 0.
    """

    redelivery_window: int = REDELIVERY_WINDOW
    """Maximum number of steps whose unanswered outputs a record keeps; at least 1."""
    finished_expiry: timedelta | None = timedelta(hours=24)
    """How long a leased memory remembers that a workflow has ended. Must outlive the longest
    redelivery delay of the transport; at most ten years. None keeps the full record indefinitely.
    Both expiries are at least the `history` of the memory.
    """
    failed_expiry: timedelta | None = timedelta(days=30)
    """How long a leased memory keeps a workflow that has failed, whole; at most ten years. None
    keeps it indefinitely."""
    warm_bytes: int = 64 * 1024 * 1024
    """How much a handler remembers of the workflows it has stepped over a leased memory, in bytes
    as stored; in the process it takes about 2.4 times as much. A step of a workflow that is not
    remembered reads what earlier ones have stored. 0 remembers none."""
    clock: Clock = SYSTEM_CLOCK
    """Says when a timer is due that a step sets, and times the renewal of leases."""

    def __post_init__(self) -> None:
        check_count(self.redelivery_window, name="redelivery_window", least=1)
        check_count(self.warm_bytes, name="warm_bytes")
        check_clock(self.clock)
        for name in ("finished_expiry", "failed_expiry"):
            expiry: timedelta | None = getattr(self, name)
            if expiry is not None:
                check_duration(expiry, name=name, above_zero=True, most=TEN_YEARS)
