"""Reads events back from records, also those that would no longer be accepted as new."""

from collections.abc import Mapping
from typing import Any

from arvo_core import ArvoEvent, EventLimits, InvalidEventError

STORED_DEPTH = 255
"""Maximum depth of a context or a machine's state; the record around it may carry less."""
_LIMITS = EventLimits(max_depth=248)  # the maximum, and the deepest that was ever stored

# What the strings of a new event must not contain, as headers cannot, and how many characters
# they may have; see `ArvoEvent`.
_HEADER_BREAKS = str.maketrans("\r\n\x00", "   ")
_MAX_CHARACTERS = 128 * 1024


def stored_event(values: Mapping[str, Any]) -> ArvoEvent:
    """Read an event from a record, as an older version or the TypeScript one may have accepted it.

    Its data may be deeper than that of a new event, and its strings may be longer and contain what
    no header may: CR, LF and NUL. All other rules apply. It stays as it was stored, also when it
    is sent again: dropping it would leave its workflow waiting, and a changed one would be another
    event.

    Raises:
        InvalidEventError: It is not an event.
    """
    try:
        return ArvoEvent.from_dict(values)
    except InvalidEventError:
        strings = {name: value for name, value in values.items() if isinstance(value, str)}
        fit = {name: fit_string(value) for name, value in strings.items()}
        event = ArvoEvent.from_dict({**values, **fit}, limits=_LIMITS)
        return event.model_copy(
            update={name: value for name, value in strings.items() if value != fit[name]}
        )


def fit_string(value: str) -> str:
    """Return a string as a new event accepts it: shortened, with spaces for CR, LF and NUL."""
    return value[:_MAX_CHARACTERS].translate(_HEADER_BREAKS)
