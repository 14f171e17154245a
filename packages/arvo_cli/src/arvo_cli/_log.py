"""What libraries log, shown to the user."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from typing_extensions import override

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
"""From which level on logs are shown."""


@contextmanager
def shown_logs(level: LogLevel, *, say: Callable[[str], None]) -> Iterator[None]:
    """Show logs for as long as the block lasts.

    Args:
        level: What is less important is not shown.
        say: Writes a line.
    """
    root = logging.getLogger()
    handler, before = _Sayer(say), root.level
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


class _Sayer(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            for line in self.format(record).splitlines():
                self._say(line)
        except Exception:
            self.handleError(record)  # as every handler does: a log must not end the program
