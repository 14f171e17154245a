"""What a client of a database or server raises."""

from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["failed", "unknown"]
"""The effect of a call that raised: "failed" when it certainly had none, "unknown" when it may have
had one."""


class BackendError(Exception):
    """A database or server failed, or refused a call. Raise it `from` the driver's exception.

    Args:
        message: What failed.
        retryable: See the attribute.
        outcome: See the attribute.

    Attributes:
        retryable: Whether the same call may succeed later, without a change to our code. A missing
            permission or a rule of the database may be mended meanwhile; a wrong table name stays
            wrong.
        outcome: "failed" when the call certainly had no effect, "unknown" when it may have had one.

    Example:
        >>> raise BackendError("no connection", retryable=True, outcome="failed")
        Traceback (most recent call last):
        ...
        arvo_time._errors.BackendError: no connection
    """

    def __init__(self, message: str, *, retryable: bool, outcome: Outcome) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outcome: Outcome = outcome


class ClosedError(BackendError):
    """The client was closed, so nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False, outcome="failed")


class DamagedError(BackendError):
    """Stored data is damaged, or of another kind than the call expects; nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False, outcome="failed")
