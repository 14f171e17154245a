"""Checks the durations that policies are made of."""

from datetime import timedelta
from typing import Final

TEN_YEARS: Final = timedelta(days=3650)
"""The longest lease and expiry: every backend can store when they end."""


def check_duration(
    value: object, *, name: str, above_zero: bool = False, most: timedelta | None = None
) -> timedelta:
    """Return a duration that is not negative.

    Args:
        value: What was given.
        name: What the setting is called.
        above_zero: Refuse zero too.
        most: How long it may be; None sets no bound.

    Raises:
        TypeError: It is a bare number or anything else that is no timedelta.
        ValueError: It is negative, zero where that is refused, or longer than `most`.
    """
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, got {value!r}")
    if value < timedelta(0):
        raise ValueError(f"{name} must not be negative, got {value}")
    if above_zero and not value:
        raise ValueError(f"{name} must be longer than zero")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")
    return value
