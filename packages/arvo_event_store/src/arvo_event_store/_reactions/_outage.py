"""Outages of the store, as one part of a worker meets them."""

from datetime import timedelta
from random import Random
from typing import Final

from arvo_event_store._errors import SchemaError, StoreFailure
from arvo_time import Backoff, Clock
from arvo_time.logs import bounded_logger

OUTAGES: Final = (StoreFailure, SchemaError)
"""The errors that pass when somebody repairs the store, or its database."""
_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))
_logger = bounded_logger("arvo_event_store")


class Outage:
    """The failures in a row of one part of a worker, and the pauses after them.

    Args:
        part: What fails, such as "the scan".
        troubles: Has what fails now, by part; shared by the parts.
        clock: For the pauses.
        random: Spreads them.
        longest: The longest pause.
    """

    def __init__(
        self,
        part: str,
        *,
        troubles: dict[str, str],
        clock: Clock,
        random: Random,
        longest: timedelta = _BACKOFF.maximum,
    ) -> None:
        self._part = part
        self._troubles = troubles
        self._clock = clock
        self._random = random
        self._longest = longest
        self._failures = 0

    async def pause(self, error: Exception) -> None:
        """Wait after a failure, longer after each in a row."""
        if not self._failures:
            _logger.warning("%s fails, and is tried again: %s", self._part, error)
        self._troubles[self._part] = f"{self._part} fails: {error}"
        pause = _BACKOFF.delay(self._failures, random=self._random)
        self._failures += 1
        await self._clock.sleep(min(pause, self._longest))

    def end(self) -> None:
        """Note that a call succeeded."""
        if self._failures:
            self._failures = 0
            self._troubles.pop(self._part, None)
