"""A try that failed, and what may be answered to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from arvo_core import ArvoEvent


class ErrorResponse(StrEnum):
    """What `on_error` wants to happen."""

    RETRY = "RETRY"
    """Try again while the budget lasts, whatever the error says; then a dead letter, or the
    replies of a `RetryableFailure`."""
    THROW = "THROW"
    """Give up now: a dead letter, reported to `on_broker_error`, and a failure of `resolve`."""
    SUPPRESS = "SUPPRESS"
    """Drop the event with a warning in the log, as if it had been handled without an output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTry:
    """One try to handle an event that failed."""

    event: ArvoEvent
    """The event, as it was published."""
    error: Exception
    """What went wrong: in the handler, in its middleware, or a `TimeoutError`."""
    handler: str
    """The topic of the handler."""
    attempts: int
    """How many tries there were, this one included; contention does not count."""
    retries: int
    """The budget: how many tries may follow the first one."""


ErrorListener: TypeAlias = Callable[[FailedTry], ErrorResponse | Awaitable[ErrorResponse]]
"""Called once for each failed try; returns what is to happen."""
