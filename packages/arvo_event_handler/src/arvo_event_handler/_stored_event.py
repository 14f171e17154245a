"""What records keep is read back, also where it would no longer be accepted as new."""

from collections.abc import Mapping
from typing import Any

from arvo_core import ArvoEvent, EventLimits, InvalidEventError

STORED_DEPTH = 255
"""How deep stored JSON may be, which is deeper than an event by default."""
_LIMITS = EventLimits(max_depth=STORED_DEPTH)


def stored_event(values: Mapping[str, Any]) -> ArvoEvent:
    """Read an event as a record keeps it, which may have been written under larger limits.

    Raises:
        InvalidEventError: It is not an event.
    """
    try:
        return ArvoEvent.from_dict(values)
    except InvalidEventError:
        return ArvoEvent.from_dict(values, limits=_LIMITS)
