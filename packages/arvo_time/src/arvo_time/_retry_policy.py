"""How often a failed try is repeated."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from ._backoff import SYSTEM_RANDOM, Backoff
from ._settings import check_count, check_instance

_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=100), maximum=timedelta(seconds=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after which delays something is tried again.

    Raises:
        TypeError: `retries` is not an int, or `backoff` not a `Backoff`.
        ValueError: `retries` is negative.

    Example:
        >>> RetryPolicy(retries=0).retries
        0
    """

    retries: int = 3
    """How many tries may follow the first one. Zero: one try in all."""
    backoff: Backoff = _BACKOFF
    """The delays between tries."""

    def __post_init__(self) -> None:
        check_count(self.retries, name="retries")
        check_instance(self.backoff, kind=Backoff, name="backoff")

    def pause_after(
        self,
        failed: int,
        *,
        asked: timedelta | None = None,
        random: Random = SYSTEM_RANDOM,
    ) -> timedelta | None:
        """Return how long to wait before the next try; None when the tries are used up.

        Args:
            failed: How many tries have failed, the last one included.
            asked: The pause that the last try asked for; None takes the delay of the backoff.
            random: For the jitter of the delay.
        """
        if failed > self.retries:
            return None
        if asked is not None:
            return asked
        return self.backoff.delay(failed - 1, random=random)
