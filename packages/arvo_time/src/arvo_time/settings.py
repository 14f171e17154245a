"""Checks of settings, run where they are given, for authors of brokers, memories and clients.

Each raises a TypeError or ValueError that names the setting, what it must be and what it is.
"""

from ._settings import (
    TEN_YEARS,
    check_async,
    check_callable,
    check_clock,
    check_count,
    check_duration,
    check_flag,
    check_instance,
    check_number,
    check_random,
    given_or,
    is_async,
)

__all__ = [
    "TEN_YEARS",
    "check_async",
    "check_callable",
    "check_clock",
    "check_count",
    "check_duration",
    "check_flag",
    "check_instance",
    "check_number",
    "check_random",
    "given_or",
    "is_async",
]
