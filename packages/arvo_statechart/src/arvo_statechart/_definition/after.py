"""The keys of `after`: how long a state waits for each of its delayed transitions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from arvo_statechart._delay import delay_label, number_of_key, number_text
from arvo_statechart._event import after_event_type
from arvo_statechart._messages import short_repr

from .problems import Place, Problems

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A key of `after`."""

    place: Place
    event_type: str
    """The type of its event."""
    delay: float | str
    """Its number of milliseconds, or the name of its delay."""
    config: object
    """Its transitions as the definition has them."""

    @property
    def label(self) -> str:
        """What diagrams call its event."""
        return f"after {delay_label(self.delay)}"


def keys_of_after(
    config: object, state_id: str, place: Place, problems: Problems
) -> dict[str, After]:
    """Return the keys of an `after` by event type, in the order in which their timers are set.

    Numbers come first, the smallest one before the others; names follow in their order.
    """
    if not isinstance(config, Mapping):
        problems.error(place, f"expected a mapping, got {short_repr(config)}")
        return {}
    found: dict[str, After] = {}
    for key, transitions in config.items():
        at = (place, key if isinstance(key, int) else str(key))
        delay = _delay_of(key, at, problems)
        if delay is None:
            continue
        text = delay if isinstance(delay, str) else number_text(delay)
        event_type = after_event_type(text, state_id)
        if event_type in found:
            problems.error(at, f"{text} ms are there under another key, too: put all into one list")
        found[event_type] = After(place=at, event_type=event_type, delay=delay, config=transitions)
    return {after.event_type: after for after in sorted(found.values(), key=_order)}


def _delay_of(key: Any, place: Place, problems: Problems) -> float | str | None:
    if isinstance(key, bool) or not isinstance(key, int | float | str):
        problems.error(
            place, f"expected a number of ms or the name of a delay, got {short_repr(key)}"
        )
        return None
    if isinstance(key, str) and not _NUMBER.fullmatch(key):
        return key
    number = number_of_key(key)
    if number is None:
        problems.error(place, f"expected a finite number of ms, got {short_repr(key)}")
    return number


def _order(after: After) -> tuple[bool, float]:
    named = isinstance(after.delay, str)
    return named, 0 if isinstance(after.delay, str) else after.delay
