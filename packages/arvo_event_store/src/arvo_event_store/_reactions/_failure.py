"""Failures of events, as they are stored and reported."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from arvo_time.logs import excerpt

_ERROR_BYTES: Final = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionFailure:
    """A try of an event that failed, for `ReactionWorker(on_error=...)`."""

    group: str
    """The group."""
    reaction: str
    """The reaction."""
    key: str
    """The target; "?" if the reaction could not tell."""
    position: int
    """The event."""
    error: Exception
    """What it failed with."""
    failed: int
    """How many tries of it failed, this one included; 0 if it was not routed."""
    outcome: Literal["retried", "blocked", "parked"]
    """What becomes of the event: another try, its target stops there, or it is put aside."""


ErrorListener: TypeAlias = Callable[[ReactionFailure], Awaitable[None]]
"""Is told of each try that failed."""


def error_text(error: BaseException) -> str:
    """Return what is stored of an error: at most 4 KiB."""
    return excerpt(f"{type(error).__name__}: {error}", max_bytes=_ERROR_BYTES)
