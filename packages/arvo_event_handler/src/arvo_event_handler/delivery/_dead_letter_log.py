"""What a log says of an event that was not handled: one line, and the traceback for who wants it."""

import logging
from typing import Final

from arvo_core import ArvoEvent

_NAME_WIDTH: Final = 256
_MESSAGE_WIDTH: Final = 2_048


def log_dead_letter(
    event: ArvoEvent,
    *,
    error: BaseException,
    handler: str | None,
    logger: logging.Logger,
    reason: str | None = None,
    attempts: int | None = None,
    level: int = logging.ERROR,
) -> None:
    """Log an event that was not handled: one bounded line, and its traceback at debug level.

    Args:
        event: The event.
        error: The last error.
        handler: The topic that was to handle it; None when there is none.
        logger: Where to log it.
        reason: Why it was given up; None when the error says all.
        attempts: How many tries failed; None when that is not counted.
        level: The level of the line.
    """
    if not logger.isEnabledFor(level):
        return
    notes = [reason, None if attempts is None else f"attempts: {attempts}"]
    known = ", ".join(note for note in notes if note is not None)
    logger.log(
        level,
        "event %s of type %s for %s is dead%s: %s: %s",
        _one_line(event.id, _NAME_WIDTH),
        _one_line(event.type, _NAME_WIDTH),
        _one_line(handler or event.to or event.type, _NAME_WIDTH),
        f" ({known})" if known else "",
        _one_line(type(error).__name__, _NAME_WIDTH),
        _one_line(_text(error), _MESSAGE_WIDTH),
    )
    logger.debug("traceback of dead event %s", _one_line(event.id, _NAME_WIDTH), exc_info=error)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        # What failed matters more than that it cannot say why.
        return "<the error's text cannot be read>"


def _one_line(text: str, width: int) -> str:
    """Return a string without control characters, cut at `width` characters."""
    shown = text[:width]
    if not shown.isprintable():
        shown = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown
        )
    # What was escaped is longer than before.
    return f"{shown[:width]}..." if len(text) > width or len(shown) > width else shown
