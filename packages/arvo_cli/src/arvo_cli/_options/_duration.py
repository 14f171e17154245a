"""Durations on the command line: a number with its unit."""

import re
from datetime import timedelta
from typing import Final

from arvo_cli._errors import CommandError

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LONGEST: Final = timedelta(days=36_500)
_DURATION: Final = re.compile(r"(?P<amount>\d{1,9}(?:\.\d{1,9})?)(?P<unit>ms|s|m|h|d)")


def duration(text: str, *, option: str) -> timedelta:
    """Read a duration.

    Args:
        text: Such as `30s`.
        option: The option that has it, for the error.

    Raises:
        CommandError: It is not a duration, or longer than a century.

    Example:
        >>> duration("1.5h", option="--older")
        datetime.timedelta(seconds=5400)
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise CommandError(
            f"{option} takes a duration with its unit (ms, s, m, h, d), such as 30s, not {text!r}"
        )
    unit = _UNITS[found["unit"]]
    if float(found["amount"]) > _LONGEST / unit:
        raise CommandError(f"{option} {text} is too long; at most {_LONGEST.days}d")
    return float(found["amount"]) * unit
