"""One `arvo run`: what was asked for, and how its parts are put together."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from arvo_event_handler import SYSTEM_CLOCK

from ._display import Display
from ._input import decoder_for
from ._interrupt import interrupts
from ._lines import LineReader
from ._memory_url import opened
from ._output import STDOUT, LineWriter, Rejects, check_names
from ._report import Report
from ._run import Run
from ._target import load_target

CLEAN: Final = 0
"""Every line has its result."""
INCOMPLETE: Final = 3
"""Something was rejected or failed; the rest has its results."""
INTERRUPTED: Final = 130
"""The user stopped the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the user asked for: the options of `arvo run`."""

    target: str
    """A folder, or `module:factory`."""
    events: str
    """Where the input is; "-" for standard input."""
    contract: str | None
    """What plain payloads are; None for CloudEvents."""
    out: str
    """Where results go; "-" for standard output."""
    rejects: str | None
    """Where lines without a result go; None tells the user."""
    concurrency: int
    """How many lines are run at the same time."""
    memory: str
    """The machine memory's URL."""

    async def run(self) -> int:
        """Do it and return the exit status.

        Raises:
            CommandError: It cannot begin or go on.
        """
        check_names(events=self.events, out=self.out, rejects=self.rejects)
        with ExitStack() as open_files:
            lines = LineReader(self.events)
            open_files.callback(lines.close)
            target = load_target(self.target)
            async with opened(self.memory) as memory:
                handlers = target.create_handlers(memory)
                decoder = decoder_for(handlers, self.contract)
                # What an earlier run wrote is given up only now that nothing can be misspelt.
                results = open_files.enter_context(LineWriter(self.out))
                rejects = self.rejects and open_files.enter_context(LineWriter(self.rejects))
                display = Display(total=lines.size)
                run = Run(
                    handlers=handlers,
                    listener=target.listener,
                    decoder=decoder,
                    write=self._shown(results, display),
                    rejects=Rejects(rejects or None, say=display.say),
                    report=Report(),
                    display=display,
                    concurrency=self.concurrency,
                    clock=SYSTEM_CLOCK,
                )
                return await self._carry_out(run, lines, display)

    async def _carry_out(self, run: Run, lines: LineReader, display: Display) -> int:
        try:
            with display, interrupts(run.stop, run.cancel):
                await run.over(lines)
        finally:
            taken = lines.number
            run.report.not_started, complete = await lines.skip_rest()
            self._conclude(run.report, taken=taken, complete=complete)
        if run.interrupted:
            return INTERRUPTED
        return CLEAN if run.report.is_clean else INCOMPLETE

    def _shown(self, results: LineWriter, display: Display) -> Callable[[str], None]:
        """Let results and the progress bar take turns where they share a terminal."""
        together = self.out == STDOUT and display.shows_standard_output
        return display.say if together else results.write

    def _conclude(self, report: Report, *, taken: int, complete: bool) -> None:
        """Tell what became of every line."""
        # Standard output is for results alone, unless they are in a file.
        console = Console(file=sys.stderr if self.out == STDOUT else sys.stdout, highlight=False)
        console.print(report)
        if report.not_started:
            console.print(f"not started: {report.not_started} lines behind line {taken}")
        if not complete:
            console.print(f"the input was not read to its end; it may go on behind line {taken}")
        if report.rejected or report.failed:
            told = f"are in {self.rejects}" if self.rejects else "are above; --rejects keeps them"
            console.print(f"lines without a final event, and why, {told}", soft_wrap=True)
