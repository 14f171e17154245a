"""What records keep is read back, also where it would no longer be accepted as new."""

from collections.abc import Mapping
from typing import Any

from arvo_core import ArvoEvent, EventLimits, InvalidEventError

STORED_DEPTH = 255
"""How deep a context or a machine's state may be; a record that holds one may not carry as much."""
_LIMITS = EventLimits(max_depth=248)  # the most there is, and the most that was ever stored

# What keeps the text of a new event from being a header, and how long it may be; see `ArvoEvent`.
_HEADER_BREAKS = str.maketrans("\r\n\x00", "   ")
_LONGEST = 128 * 1024


def stored_event(values: Mapping[str, Any]) -> ArvoEvent:
    """Read an event as a record keeps it: once accepted, by an older version or by TypeScript's.

    Its data may be deeper than that of a new event, and its texts may be longer and hold what no
    header may: CR, LF and NUL. All other rules hold. It is as it was stored, also when it is sent
    again: to drop it would leave its workflow waiting, and to change it would be another event.

    Raises:
        InvalidEventError: It is not an event.
    """
    try:
        return ArvoEvent.from_dict(values)
    except InvalidEventError:
        texts = {name: text for name, text in values.items() if isinstance(text, str)}
        fit = {name: fit_text(text) for name, text in texts.items()}
        event = ArvoEvent.from_dict({**values, **fit}, limits=_LIMITS)
        return event.model_copy(
            update={name: text for name, text in texts.items() if text != fit[name]}
        )


def fit_text(text: str) -> str:
    """Return a text as a new event accepts it: the same, unless it is too long or ends a header."""
    return text[:_LONGEST].translate(_HEADER_BREAKS)
