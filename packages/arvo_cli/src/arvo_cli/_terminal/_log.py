"""Shows the log records of libraries to the user."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from typing_extensions import override

from arvo_cli._options._values import LogLevel


@contextmanager
def shown_logs(level: LogLevel, *, say: Callable[[str], None]) -> Iterator[None]:
    """Show log records within the block.

    Args:
        level: The lowest level that is shown.
        say: Writes a line.
    """
    root = logging.getLogger()
    handler, before = _LineHandler(say), root.level
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


class _LineHandler(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            for line in self.format(record).splitlines():
                self._say(line)
        except Exception:
            self.handleError(record)  # as every handler does: logging must not end the program
