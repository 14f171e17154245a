"""Checks the durations that policies are made of."""

from datetime import timedelta


def check_duration(name: str, value: object) -> timedelta:
    """Return a duration that may be zero.

    Raises:
        TypeError: It is a bare number or anything else that is no timedelta.
        ValueError: It is negative.
    """
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, got {value!r}")
    if value < timedelta(0):
        raise ValueError(f"{name} must not be negative, got {value}")
    return value
