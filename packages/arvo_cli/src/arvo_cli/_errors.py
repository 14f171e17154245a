"""Exceptions that end the command early, or keep one line of its input from being run.

* CommandError                  the command cannot start or continue; one line, status 2
  + OutputError                 a result could not be written; status 1
  + RefusedError                nothing was done, as what is stored does not allow it; status 1
  + NotReachedError             the engine of a memory or a transport fails; status 4
* RejectedLineError             one line of the input cannot be run
  + PlainPayloadError           it has no attribute of a CloudEvent; --contract may be missing
"""

from typing import Final

INTERRUPTED: Final = 130
"""The exit status of a command that the user stopped."""


class CommandError(Exception):
    """The command cannot start or continue, for a reason that the user can remove."""

    status = 2


class OutputError(CommandError):
    """A result or a reject could not be written."""

    status = 1


class RefusedError(CommandError):
    """The command did nothing, because of what is stored, or because the user said no."""

    status = 1


class NotReachedError(CommandError):
    """The engine of a memory or a transport cannot be reached, or fails.

    Args:
        message: What failed.
        passing: See the attribute.

    Attributes:
        passing: Whether the same call may succeed later without a change by the user.
    """

    status = 4

    def __init__(self, message: str, *, passing: bool = True) -> None:
        super().__init__(message)
        self.passing = passing


class RejectedLineError(Exception):
    """A line of the input cannot be run; the others are run."""


class PlainPayloadError(RejectedLineError):
    """A line is a JSON object without attributes of a CloudEvent; it may be a plain payload."""


def one_line(error: BaseException) -> str:
    """Return an exception's message as one line, with its class where the message says too little.

    Many exceptions have no message, such as TimeoutError, and that of KeyError is only the key.
    """
    text = _message(error)
    if not text or isinstance(error, KeyError):
        return named(error)
    return text


def named(error: BaseException) -> str:
    """Return an exception as one line: its class and, if it has one, its message."""
    text = _message(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def os_reason(error: OSError) -> str:
    """Return the reason why a file could not be used, without the file's name."""
    return error.strerror or one_line(error)


def _message(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return ""
    head, *details = lines
    return f"{head.rstrip(':')}: {'; '.join(details)}" if details else head
