"""How long an event waited until its handling began."""

from datetime import datetime

from arvo_core import ArvoEvent
from arvo_transport._settlement import Received


def waited(received: Received, *, now: datetime) -> float | None:
    """Return the seconds since an event was stored; None when this is not its first delivery.

    Where the engine does not say when it stored it, the event's own `time` is taken. Clocks of two
    machines differ, so it may seem to come from the future, and has not waited then.

    Args:
        received: The delivery.
        now: What time it is here, with a time zone.
    """
    if received.deliveries > 1 or received.failed:
        return None
    stored_at = received.stored_at or _time_of(received.event)
    if stored_at is None:
        return None
    return max(0.0, (now - stored_at).total_seconds())


def _time_of(event: ArvoEvent) -> datetime | None:
    try:
        return datetime.fromisoformat(event.time)
    except ValueError:
        return None  # RFC 3339 has times that Python has not, such as leap seconds
