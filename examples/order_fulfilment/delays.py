"""How long an order waits for people."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DAY_SECONDS: Final = "ORDER_DAY_SECONDS"
"""The environment variable that says how long a day is, so that one need not wait for days."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """How long an order waits for people."""

    reminder: timedelta = _DAY
    """From a request for confirmation of a payment to the next one, or to giving up."""
    approval: timedelta = 3 * _DAY
    """From the request for an approval to giving up."""


def delays_of(environment: Mapping[str, str]) -> Delays:
    """Return the delays that an environment asks for: those of `Delays`, or shorter days.

    Raises:
        ValueError: `ORDER_DAY_SECONDS` is not a number above zero, or longer than a day.
    """
    text = environment.get(DAY_SECONDS)
    if text is None:
        return Delays()
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _DAY.total_seconds():
        raise ValueError(
            f"{DAY_SECONDS} must be a number of seconds from above 0 to 86400, such as 2, "
            f"not {text!r}"
        )
    usual, scale = Delays(), seconds / _DAY.total_seconds()
    return Delays(reminder=scale * usual.reminder, approval=scale * usual.approval)
