"""Events that need newer code than a worker has."""

from datetime import timedelta
from typing import Final

from arvo_core import ArvoEvent
from arvo_time import Backoff, Clock

_PAUSES: Final = Backoff(initial=timedelta(seconds=1), maximum=timedelta(seconds=30), jitter=False)
_MOST_KNOWN: Final = 10_000


class NewerEvents:
    """How long a worker has been coming upon events that newer workers are to handle.

    Args:
        patience: How long it leaves one to them.
        clock: For that.
    """

    def __init__(self, *, patience: timedelta, clock: Clock) -> None:
        self._patience = patience.total_seconds()
        self._clock = clock
        # First seen, and how often; latest seen last.
        self._known: dict[tuple[str, str], tuple[float, int]] = {}

    def pause(self, event: ArvoEvent) -> timedelta | None:
        """Return for how long to leave an event to others; None when patience has ended."""
        key = event.source, event.id
        now = self._clock.monotonic()
        since, times = self._known.pop(key, (now, 0))
        if now - since >= self._patience:
            return None
        self._known[key] = since, times + 1
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return _PAUSES.delay(times)
