"""The loggers of Arvo's packages, whose records are bounded in length."""

import logging

from ._excerpt import excerpt

_RECORD_BYTES = 8 * 1024
_MESSAGE_BYTES = 4 * 1024
_formatter = logging.Formatter()


def bounded_logger(name: str) -> logging.Logger:
    """Return the logger `name`, whose records take at most 8 KiB from now on.

    A message above 4 KiB, and a traceback for which the message leaves no room, lose their
    middle: the sender of an event must not be able to fill a disk with log records about it.
    What a format adds, such as the time, comes on top. Idempotent.

    Example:
        >>> bounded_logger("com.example.bridge").name
        'com.example.bridge'
    """
    logger = logging.getLogger(name)
    logger.addFilter(_shortened)
    return logger


def _shortened(record: logging.LogRecord) -> bool:
    try:
        message = record.getMessage()
    except Exception:
        return True  # handlers report it, as they do for every logger
    short = excerpt(message, max_bytes=_MESSAGE_BYTES)
    if short != message:
        record.msg, record.args = short, None
    if record.exc_info and record.exc_info[1] is not None:
        room = _RECORD_BYTES - len(short.encode("utf-8")) - len("\n")
        traceback = _formatter.formatException(record.exc_info)
        bounded = excerpt(traceback, max_bytes=room)
        if bounded != traceback:
            # Formatters use this text if there is one.
            record.exc_text = bounded
    return True
