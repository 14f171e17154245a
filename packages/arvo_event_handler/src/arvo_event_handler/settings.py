"""Checks of settings where they are made, for those who write brokers, handlers and memories.

Each raises a TypeError or ValueError that names the setting, what it must be and what it is.
"""

from ._duration import check_duration
from ._settings import (
    check_async,
    check_callable,
    check_clock,
    check_count,
    check_flag,
    check_instance,
    check_number,
    check_random,
    is_async,
)

__all__ = [
    "check_async",
    "check_callable",
    "check_clock",
    "check_count",
    "check_duration",
    "check_flag",
    "check_instance",
    "check_number",
    "check_random",
    "is_async",
]
