"""The input and the outputs of a command that goes through lines."""

import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console

from arvo_cli._options._values import STDOUT
from arvo_cli._terminal._display import Display
from arvo_cli._terminal._distinct_files import check_distinct
from arvo_cli._terminal._output import LineWriter, open_output, short_line
from arvo_cli._terminal._report import Report, counted
from arvo_core import ArvoEvent

from ._lines import LineReader
from ._rejects import Rejects


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFiles:
    """Where a command reads lines, and where it writes what comes of them."""

    events: str
    """Where the input is; "-" for standard input."""
    out: str | None
    """Where results go; "-" for standard output. None too, but with short lines on a terminal."""
    rejects: str | None
    """Where lines without a result go; None for standard error."""
    max_line_bytes: int
    """Maximum length of a line."""

    def open_input(self, opened: ExitStack) -> LineReader:
        """Open the input.

        Args:
            opened: Closes it.

        Raises:
            CommandError: It cannot be opened, or is one of the outputs.
        """
        check_distinct(events=self.events, out=self._out, rejects=self.rejects)
        lines = LineReader(self.events, max_bytes=self.max_line_bytes)
        opened.callback(lines.close)
        return lines

    def open_outputs(self, opened: ExitStack, *, display: Display) -> "LineOutputs":
        """Open the outputs, without emptying them.

        Args:
            opened: Closes them.
            display: Shows what is not written to a file.

        Raises:
            CommandError: One cannot be opened, or is in use by this process.
        """
        results = open_output("--out", self._out, opened=opened)
        writers, rejected = [results], None
        if self.rejects is not None:
            rejected = open_output("--rejects", self.rejects, opened=opened)
            writers.append(rejected)
        # Where results and the progress bar share a terminal they take turns.
        together = self._out == STDOUT and display.shows_standard_output
        return LineOutputs(
            writers=writers,
            rejects=Rejects(rejected, say=display.say, held=together),
            write=display.show if together else results.write,
            short=self.out is None and sys.stdout.isatty(),
        )

    async def conclude(
        self, report: Report, lines: LineReader, *, contracts: Iterable[str] = ()
    ) -> None:
        """Print the summary: what became of every line.

        Args:
            report: The counts.
            lines: The input.
            contracts: What to choose from where all lines were plain payloads.
        """
        taken = lines.number
        report.not_started, complete = await lines.skip_rest()
        report.blank = lines.blank
        if lines.has_failed and not report.lines:
            return  # the error about the input says it all
        # Standard output is for results alone, unless they go to a file.
        console = Console(file=sys.stderr if self._out == STDOUT else sys.stdout, highlight=False)
        if console.is_terminal:
            console.print()  # separates the summary from the lines above
        console.print(report)
        if report.not_started:
            left = counted(report.not_started, "line")
            console.print(f"not started: {left} after line {taken}")
        if not complete:
            console.print(f"the input was not read to its end; it may go on after line {taken}")
        if report.rejected or report.failed:
            place = f"are in {self.rejects}" if self.rejects else "are above; --rejects keeps them"
            console.print(
                f"lines without a {report.title}, and the reasons, {place}", soft_wrap=True
            )
        if contracts and report.payloads and report.payloads == report.lines - report.not_started:
            named = " or ".join(f"'{name}'" for name in contracts)
            console.print(f"for plain payloads give --contract {named}", soft_wrap=True)

    @property
    def _out(self) -> str:
        return STDOUT if self.out is None else self.out


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOutputs:
    """The open outputs of a command that goes through lines."""

    writers: list[LineWriter]
    """The files."""
    rejects: Rejects
    """Receives lines without a result."""
    write: Callable[[str], None]
    """Writes one line of the results."""
    short: bool
    """Whether events are shown as short lines."""

    def begin(self) -> None:
        """Discard what an earlier run wrote."""
        for writer in self.writers:
            writer.begin()

    def write_event(self, event: ArvoEvent) -> None:
        """Write an event as a result.

        Raises:
            OutputError: It cannot be written.
        """
        if self.short:
            # The width is queried for each line, as the user may resize the window.
            self.write(short_line(event, width=shutil.get_terminal_size().columns))
        else:
            self.write(event.to_json())
