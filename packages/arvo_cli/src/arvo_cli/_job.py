"""One `arvo run`: what was asked for, and how its parts are put together."""

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from arvo_event_handler import SYSTEM_CLOCK

from ._display import Display
from ._input import decoder_for
from ._interrupt import interrupts
from ._lines import LineReader
from ._memory_url import open_memory
from ._output import STDOUT, LineWriter, Rejects, check_names
from ._report import Report
from ._run import Run
from ._target import Target, load_target

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

    def run(self) -> int:
        """Do it and return the exit status.

        Raises:
            CommandError: It cannot begin or go on.
        """
        check_names(events=self.events, out=self.out, rejects=self.rejects)
        with ExitStack() as opened:
            lines = LineReader(self.events)
            opened.callback(lines.close)
            # Outside the event loop, where Ctrl-C interrupts an import that does not end.
            target = load_target(self.target)
            return asyncio.run(self._run(lines, target, opened))

    async def _run(self, lines: LineReader, target: Target, opened: ExitStack) -> int:
        async with open_memory(self.memory) as memory:
            handlers = target.create_handlers(memory)
            decoder = decoder_for(handlers, self.contract)
            # What an earlier run wrote is given up only now that nothing can be misspelt.
            results = opened.enter_context(LineWriter(self.out))
            rejected = opened.enter_context(LineWriter(self.rejects)) if self.rejects else None
            display = Display(total=lines.size)
            # Where results and the progress bar share a terminal they take turns.
            together = self.out == STDOUT and display.shows_standard_output
            rejects = Rejects(rejected, say=display.say, held=together)
            run = Run(
                handlers=handlers,
                listener=target.listener,
                decoder=decoder,
                write=display.say if together else results.write,
                rejects=rejects,
                report=Report(),
                display=display,
                concurrency=self.concurrency,
                clock=SYSTEM_CLOCK,
            )
            try:
                with display, interrupts(run.stop, run.cancel):
                    await run.over(lines)
            finally:
                rejects.tell_held()
                await self._conclude(run.report, lines)
            if run.interrupted:
                return INTERRUPTED
            return CLEAN if run.report.is_clean else INCOMPLETE

    async def _conclude(self, report: Report, lines: LineReader) -> None:
        """Tell what became of every line."""
        taken = lines.number
        report.not_started, complete = await lines.skip_rest()
        report.blank = lines.blank
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
