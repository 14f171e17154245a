"""What becomes of an event whose try failed."""

from random import Random

from arvo_event_store._lease import Blocked, Parked, Postponed, Retried
from arvo_time.settings import TEN_YEARS

from ._call import Postpone
from ._event_consumer import EventConsumer
from ._failure import error_text


def verdict(
    consumer: EventConsumer,
    *,
    position: int,
    error: Exception,
    failed_before: int,
    tries_before: int,
    final: bool,
    random: Random,
) -> Postponed | Retried | Blocked | Parked:
    """Return what becomes of an event whose try failed.

    Args:
        consumer: Its reaction.
        position: The event.
        error: What the try raised.
        failed_before: How many tries of it failed before.
        tries_before: How many there were before, those of workers that died included.
        final: Whether no further try would help.
        random: For the pause.
    """
    if isinstance(error, Postpone) and not error.counts:
        return Postponed(failed=failed_before, after=error.after, until=error.until)
    failed = tries_before + 1
    pause = None if final else consumer.retry.pause_after(failed, random=random)
    if pause is None:
        return exhausted(consumer, position=position, error=error, failed=failed)
    if isinstance(error, Postpone):
        return Postponed(failed=failed, after=error.after, until=error.until)
    after = min(pause, TEN_YEARS)
    return Retried(error=error_text(error), position=position, failed=failed, after=after)


def exhausted(
    consumer: EventConsumer, *, position: int, error: Exception, failed: int
) -> Blocked | Parked:
    """Return what becomes of an event that is not tried again."""
    kind = Blocked if consumer.on_exhausted == "block" else Parked
    return kind(error=error_text(error), position=position, failed=failed)
