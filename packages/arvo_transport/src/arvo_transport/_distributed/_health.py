"""Whether a worker is well, and what troubles it."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from random import Random
from typing import Final, TypeVar

from arvo_time import Backoff, Clock
from arvo_transport._errors import TransportClosedError, TransportError

T = TypeVar("T")

_RECONNECTING: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))


class WorkerState(StrEnum):
    """Where in its life a worker is, and whether it is well."""

    STARTING = "starting"
    """It does not receive events yet."""
    READY = "ready"
    """It receives events."""
    DEGRADED = "degraded"
    """It would, but the engine is away or refuses something."""
    DRAINING = "draining"
    """It finishes what it has in hand."""
    CLOSED = "closed"
    """It has ended."""


class Health:
    """What calls to the engine fail at this moment.

    Args:
        clock: For the pauses between tries.
        random: For their jitter.
        logger: Where a trouble is logged, when it begins and when it ends.
    """

    def __init__(self, *, clock: Clock, random: Random, logger: logging.Logger) -> None:
        self._clock = clock
        self._random = random
        self._logger = logger
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str | None:
        """What fails, for people; None when nothing does."""
        for what, why in self._troubles.items():
            return f"{what}: {why}"
        return None

    def failed(self, what: str, error: Exception) -> None:
        """Note that something fails."""
        if what not in self._troubles:
            self._logger.warning("cannot %s, and tries again: %s", what, error)
        self._troubles[what] = str(error)

    def works(self, what: str) -> None:
        """Note that something works, perhaps again."""
        if self._troubles and self._troubles.pop(what, None) is not None:
            self._logger.warning("can %s again", what)

    async def insist(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call until the engine has answered it.

        Args:
            what: What it does, for people.
            call: Makes it; the same call again must be right after an unknown outcome.

        Raises:
            TransportError: It will not succeed later either.
            Exception: Whatever else the call raises.
        """
        failures = 0
        while True:
            try:
                result = await call()
            except TransportClosedError:
                raise
            except TransportError as error:
                if not error.retryable:
                    raise
                self.failed(what, error)
            else:
                self.works(what)
                return result
            await self.rest(failures)
            failures += 1

    async def rest(self, failures: int) -> None:
        """Wait before another call, after some earlier failures in a row."""
        await self._clock.sleep(_RECONNECTING.delay(failures, random=self._random))
