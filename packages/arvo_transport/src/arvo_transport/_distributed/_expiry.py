"""Events that are worth nothing after some time."""

from datetime import UTC, datetime
from typing import Final

from arvo_core import ArvoEvent

_EXPIRY: Final = "expirytime"


def expired(event: ArvoEvent, *, now: datetime) -> str | None:
    """Return the `expirytime` of an event if it has passed; None otherwise.

    A value that is not a time means nothing. One without a time zone is in UTC.
    """
    given = event.extensions.get(_EXPIRY)
    if not isinstance(given, str):
        return None
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return given if time <= now else None
