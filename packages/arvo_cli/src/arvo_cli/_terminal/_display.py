"""What a run shows as it proceeds: a progress bar on a terminal, and messages."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ._printable import printable
from ._report import Report, counted


class Display:
    """Writes messages to standard error, with a progress bar when that is a terminal.

    Args:
        total: The input's length in bytes; None when it is unknown.
    """

    def __init__(self, *, total: int | None) -> None:
        # Not `console.is_terminal`: variables such as FORCE_COLOR make that true for a pipe.
        self._is_terminal = sys.stderr.isatty()
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("running"),
            BarColumn(bar_width=24),
            TaskProgressColumn(show_speed=False),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._total = total
        self._bar = self._progress.add_task("", total=total, counts="")

    def __enter__(self) -> Self:
        if self._is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_terminal:
            self._progress.stop()

    @property
    def shows_standard_output(self) -> bool:
        """Whether the bar and standard output share a terminal, so that they must take turns."""
        return self._is_terminal and sys.stdout.isatty()

    def say(self, text: str) -> None:
        """Write a message, above the bar when there is one."""
        self.show(printable(text))

    def show(self, line: str) -> None:
        """Write a line as it is, above the bar when there is one."""
        self._console.out(line, highlight=False)

    def advance(self, report: Report, *, ended: int, waiting: int) -> None:
        """Move the bar.

        Args:
            report: The counts so far.
            ended: How many bytes of the input the lines take that have ended.
            waiting: How many lines only wait for a time.
        """
        if not self._is_terminal:
            return
        counts = counted(report.results, "result")
        if report.rejected or report.failed:
            counts += f", {report.rejected + report.failed} rejected or failed"
        if waiting:
            counts += f", {waiting} waiting"
        completed = 0 if self._total is None else min(ended, self._total)
        self._progress.update(self._bar, completed=completed, counts=counts)
