"""Checks that a duration is one, where it is given."""

from datetime import timedelta


def check_timedelta(name: str, value: object) -> None:
    """Make sure that nobody takes seconds for milliseconds.

    Raises:
        TypeError: It is a bare number or anything else that is no timedelta.
        ValueError: It is below zero.
    """
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, got {value!r}")
    if value < timedelta(0):
        raise ValueError(f"{name} must not be below zero: {value}")
