"""Checks of settings, run where they are given.

Each raises a TypeError or ValueError that names the setting, what it must be and what it is.
"""

import inspect
from datetime import timedelta
from math import isfinite
from random import Random
from typing import Final, TypeVar, cast

from ._clock import Clock

T = TypeVar("T")

TEN_YEARS: Final = timedelta(days=3650)
"""The longest lease and expiry: every backend can store their ends."""

_CLOCK_METHODS: Final = ("now", "monotonic", "sleep", "timeout", "call_later", "call_at")


def check_count(value: object, *, name: str, least: int = 0, most: int | None = None) -> int:
    """Return a whole number between `least` and `most`; a `most` of None sets no bound.

    Raises:
        TypeError: It is not an int; a bool does not count as one.
        ValueError: It is below `least` or above `most`.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < least:
        wanted = f"be at least {least}" if least else "not be negative"
        raise ValueError(f"{name} must {wanted}, got {value}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")
    return value


def check_number(value: object, *, name: str, least: float | None = None) -> float:
    """Return a finite number that is not below `least`; a `least` of None sets no bound.

    Raises:
        TypeError: It is neither an int nor a float; a bool does not count as one.
        ValueError: It is below `least`, infinite or NaN.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        finite = isfinite(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold") from None
    if not finite:
        raise ValueError(f"{name} must be finite, got {value}")
    if least is not None and value < least:
        wanted = f"be at least {least}" if least else "not be negative"
        raise ValueError(f"{name} must {wanted}, got {value}")
    return value


def check_duration(
    value: object, *, name: str, above_zero: bool = False, most: timedelta | None = None
) -> timedelta:
    """Return a duration that is not negative.

    Args:
        value: The setting.
        name: The name of the setting, for errors.
        above_zero: Whether to refuse zero too.
        most: How long it may be; None sets no bound.

    Raises:
        TypeError: It is not a timedelta; a bare number does not count as one.
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


def check_flag(value: object, *, name: str) -> bool:
    """Return a bool.

    Raises:
        TypeError: It is not a bool.
    """
    return check_instance(value, kind=bool, name=name)


def check_instance(value: object, *, kind: type[T], name: str) -> T:
    """Return an instance of a class.

    Raises:
        TypeError: It is not one; if it is the class itself, the message has a hint.
    """
    if isinstance(value, kind):
        return value
    hint = f"; did you mean {kind.__name__}(...)?" if value is kind else ""
    article = "an" if kind.__name__[0] in "AEIOUaeiou" else "a"
    raise TypeError(f"{name} must be {article} {kind.__name__}, got {value!r}{hint}")


def given_or(value: T | None, *, default: T, name: str) -> T:
    """Return a setting, or its default where it is None.

    Raises:
        TypeError: It is not an instance of the default's class.
    """
    return default if value is None else check_instance(value, kind=type(default), name=name)


def check_callable(value: object, *, name: str) -> None:
    """Check that a setting can be called.

    Raises:
        TypeError: It cannot be called.
    """
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {value!r}")


def check_async(value: object, *, name: str) -> None:
    """Check that a setting is an `async def` function, or an object whose `__call__` is one.

    Raises:
        TypeError: It is neither, so there would be nothing to await.
    """
    if isinstance(value, type) or not is_async(value):
        raise TypeError(f"{name} must be an `async def` function, got {value!r}")


def is_async(function: object) -> bool:
    """Return whether calling `function` gives a coroutine, judged by its definition."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is wanted
    )


def check_clock(value: object, *, name: str = "clock") -> Clock:
    """Return a clock, such as `SYSTEM_CLOCK` or a `FakeClock`.

    Raises:
        TypeError: It lacks a method of `Clock`, or is a class instead of an instance.
    """
    lacking = [each for each in _CLOCK_METHODS if not callable(getattr(value, each, None))]
    if isinstance(value, type) or lacking:
        why = f"it lacks {', '.join(lacking)}" if lacking else "it is a class"
        raise TypeError(f"{name} must be a Clock, got {value!r}: {why}")
    return cast("Clock", value)


def check_random(value: object, *, name: str = "random") -> Random:
    """Return a source of randomness.

    Raises:
        TypeError: It is not a `random.Random`.
    """
    return check_instance(value, kind=Random, name=name)
