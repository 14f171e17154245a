"""Events that nobody could handle."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from arvo_core import ArvoEvent


class DeadLetterReason(StrEnum):
    """Why an event became a dead letter."""

    EXHAUSTED = "exhausted"
    """Every try of the budget failed."""
    NOT_RETRYABLE = "not retryable"
    """A violation that says that another try cannot help."""
    THROWN = "thrown"
    """`on_error` said so."""
    CONTENTION = "contention"
    """Others handled its workflow all through `contention_timeout`."""
    OUTPUT_MIDDLEWARE = "output middleware"
    """A handler emitted it and its output middleware failed; what caused it was handled."""
    UNROUTABLE = "unroutable"
    """No handler listens where it wants to go."""
    UNCLAIMED = "unclaimed"
    """An answer nobody waits for (any more), without an `on_unclaimed`."""
    CANCELLED = "cancelled"
    """The task that handled it was ended, and not by the broker: user code cancelled the task it
    runs in or ended the program, the event loop is ending, or a clock or a source of chance of
    one's own failed, which is the error then."""
    CLOSED = "closed"
    """The broker was closed before the event was handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that was not handled, for keeping, looking at and publishing again."""

    event: ArvoEvent
    """The event, as it was published."""
    error: Exception
    """The last error."""
    attempts: int
    """How many tries failed; 0 when none was made."""
    handler: str | None
    """The topic of the handler that was to handle it; None when there is none."""
    reason: DeadLetterReason
    """Why it is dead."""


DeadLetterListener: TypeAlias = Callable[[DeadLetter], Awaitable[None]]
"""Receives dead letters."""
