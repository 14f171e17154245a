"""Delays: how long a timer waits before its event comes."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

from ._call import Call
from ._messages import name_of

Delay: TypeAlias = float | timedelta | Callable[[Call], float | timedelta | None]
"""A number of milliseconds, a timedelta, or a function that returns one of them.

A function that returns None asks for no delay: the event comes within the same step.
"""

_MILLISECOND = timedelta(milliseconds=1)
# From here on, and below a millionth, JavaScript writes numbers with an exponent.
_EXPONENT_FROM = 1e21
_EXPONENT_BELOW = 1e-6


def milliseconds_of(delay: object) -> float | None:
    """Return a constant delay in milliseconds; None if it is not a finite number or timedelta."""
    if isinstance(delay, timedelta):
        return _whole(delay / _MILLISECOND)
    if isinstance(delay, bool) or not isinstance(delay, int | float):
        return None
    return delay if _is_finite(delay) else None


def number_of_key(key: float | str) -> float | None:
    """Return the number that a key of a config is in JavaScript; None if it is not finite."""
    try:
        number = float(key)
    except OverflowError:
        return None
    return _whole(number) if math.isfinite(number) else None


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer that is larger than every float
        return False


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number


def number_text(number: float) -> str:
    """Return a number as JavaScript writes it, which is how it appears in event types."""
    if number < 0:
        return f"-{number_text(-number)}"
    # Adding zero makes -0.0 positive.
    digits, _, exponent = repr(number + 0.0).removesuffix(".0").partition("e")
    if not exponent:
        return digits
    if not _EXPONENT_BELOW <= number < _EXPONENT_FROM:
        return f"{digits}e{exponent.replace('-0', '-')}"
    whole, _, fraction = digits.partition(".")
    shift = int(exponent)
    if shift < 0:
        return f"0.{'0' * (-shift - 1)}{whole}{fraction}"
    return whole + fraction.ljust(shift, "0")


def delay_label(delay: object) -> str:
    """Return a delay for people: `1000 ms`, or the name of it or of its function."""
    number = milliseconds_of(delay)
    return name_of(delay) if number is None else f"{number_text(number)} ms"
