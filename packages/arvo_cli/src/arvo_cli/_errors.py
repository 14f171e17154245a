"""What ends the command early, or keeps one line of its input from being run.

* CommandError                  the command cannot start or go on; one line, status 2
  + OutputError                 a result could not be written; status 1
* RejectedLineError             one line of the input is not something to run
  + PlainPayloadError           it has nothing of a CloudEvent; --contract may be missing
"""

from typing import Final

INTERRUPTED: Final = 130
"""The exit status of a command that the user stopped."""


class CommandError(Exception):
    """The command cannot start or go on, for a reason the user can mend."""

    status = 2


class OutputError(CommandError):
    """A result or a reject could not be written."""

    status = 1


class RejectedLineError(Exception):
    """A line of the input is not something to run; the rest goes on."""


class PlainPayloadError(RejectedLineError):
    """A line is a JSON object that has nothing of a CloudEvent; it may be a plain payload."""


def one_line(error: BaseException) -> str:
    """Write what an exception says as one line; its class where that says too little.

    Many say nothing, as TimeoutError does, and a KeyError says only the key.
    """
    text = _text(error)
    if not text or isinstance(error, KeyError):
        return named(error)
    return text


def named(error: BaseException) -> str:
    """Write an exception as one line: its class and, if it says something, what it says."""
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def os_reason(error: OSError) -> str:
    """Write the reason why a file could not be used, without the file's name."""
    return error.strerror or one_line(error)


def _text(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return ""
    head, *details = lines
    return f"{head.rstrip(':')}: {'; '.join(details)}" if details else head
