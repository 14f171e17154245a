"""One `arvo run`: its options, and how its parts are put together."""

import asyncio
import gc
import hashlib
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from rich.console import Console

from arvo_core import ArvoEvent, EventLimits
from arvo_event_handler import (
    IArvoEventHandler,
    IMachineMemory,
    IWorkflowHandler,
    MachineMemoryError,
    MemoryInUseError,
)
from arvo_event_handler.memory import ILeasedMachineMemory, IWorkflowQueries, sole_process
from arvo_time import SYSTEM_CLOCK

from ._display import Display
from ._distinct_files import check_distinct
from ._errors import INTERRUPTED, CommandError, one_line
from ._input import contract_versions, decoder_for
from ._interrupt import interrupts, woken_by_signals
from ._lines import LineReader
from ._log import LogLevel, shown_logs
from ._memory_url import default_concurrency, open_memory
from ._output import STDOUT, LineWriter, open_output, short_line
from ._rejects import Rejects
from ._report import Report, counted
from ._run import Run
from ._target import Target, load_target

CLEAN: Final = 0
"""Every line has its result."""
INCOMPLETE: Final = 3
"""Some lines were rejected or failed; the others have their results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The options of `arvo run`."""

    target: str
    """A folder, or `module:factory`."""
    flavour: str | None
    """Which handlers the factory makes; None for its default."""
    events: str
    """Where the input is; "-" for standard input."""
    contract: str | None
    """URI and version of the contract of plain payloads; None for CloudEvents."""
    out: str | None
    """Where results go; "-" for standard output. None too, but with short lines on a terminal."""
    rejects: str | None
    """Where lines without a result go; None for standard error."""
    max_line_bytes: int
    """Maximum length of a line."""
    concurrency: int | None
    """How many lines are run at the same time; None for what suits the memory."""
    memory: str
    """The machine memory's URL."""
    log_level: LogLevel
    """The lowest level of log records that are shown."""

    def run(self) -> int:
        """Run the input and return the exit status.

        Raises:
            CommandError: The run cannot start or continue.
        """
        check_distinct(events=self.events, out=self._out, rejects=self.rejects)
        with ExitStack() as opened:
            lines = LineReader(self.events, max_bytes=self.max_line_bytes)
            opened.callback(lines.close)
            # Outside the event loop, so that Ctrl-C interrupts an import that does not end.
            target = load_target(self.target)
            display = Display(total=lines.size)
            opened.enter_context(shown_logs(self.log_level, say=display.say))
            gc.freeze()  # what was imported stays to the end
            opened.callback(gc.unfreeze)
            return asyncio.run(self._run(lines, target, display, opened))

    async def _run(
        self, lines: LineReader, target: Target, display: Display, opened: ExitStack
    ) -> int:
        async with woken_by_signals(), open_memory(self.memory) as memory:
            handlers = target.create_handlers(memory, flavour=self.flavour)
            limits = EventLimits(max_bytes=self.max_line_bytes)
            decoder = decoder_for(handlers, self.contract, limits=limits)
            results = open_output("--out", self._out, opened=opened)
            outputs, rejected = [results], None
            if self.rejects is not None:
                rejected = open_output("--rejects", self.rejects, opened=opened)
                outputs.append(rejected)
            # Where results and the progress bar share a terminal they take turns.
            together = self._out == STDOUT and display.shows_standard_output
            rejects = Rejects(rejected, say=display.say, held=together)
            run = Run(
                handlers=handlers,
                listener=target.listener,
                decoder=decoder,
                begin=partial(_begin, outputs),
                write=self._event_writer(display.show if together else results.write),
                rejects=rejects,
                report=Report(),
                display=display,
                concurrency=self.concurrency or default_concurrency(self.memory),
                recovers=_are_listed(handlers),
                clock=SYSTEM_CLOCK,
            )
            try:
                # Outside what answers interrupts: one that comes while this waits ends the command.
                async with _alone(memory, handlers, target=self.target, say=display.say):
                    with display, interrupts(run.stop, run.cancel, last=run.abandon) as came:
                        await run.over(lines)
            finally:
                rejects.flush()
                await self._conclude(run.report, lines, handlers)
            if came.count:
                return INTERRUPTED
            return CLEAN if run.report.is_clean else INCOMPLETE

    @property
    def _out(self) -> str:
        return STDOUT if self.out is None else self.out

    def _event_writer(self, write: Callable[[str], None]) -> Callable[[ArvoEvent], None]:
        if self.out is None and sys.stdout.isatty():
            # The width is queried for each line, as the user may resize the window.
            return lambda event: write(short_line(event, width=shutil.get_terminal_size().columns))
        return lambda event: write(event.to_json())

    async def _conclude(
        self, report: Report, lines: LineReader, handlers: Iterable[IArvoEventHandler]
    ) -> None:
        """Print the summary: what became of every line."""
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
            console.print(f"lines without a final event, and the reasons, {place}", soft_wrap=True)
        if report.payloads and report.payloads == report.lines - report.not_started:
            named = " or ".join(f"'{name}'" for name in contract_versions(handlers))
            console.print(f"for plain payloads give --contract {named}", soft_wrap=True)


def _are_listed(handlers: Iterable[IArvoEventHandler]) -> bool:
    """Return whether the memories can tell which workflows an earlier run left unfinished."""
    return all(
        isinstance(handler.memory, IWorkflowQueries)
        for handler in handlers
        if isinstance(handler, IWorkflowHandler)
    )


@asynccontextmanager
async def _alone(
    memory: IMachineMemory,
    handlers: Iterable[IArvoEventHandler],
    *,
    target: str,
    say: Callable[[str], None],
) -> AsyncIterator[None]:
    """Keep other runs of the same workflows away from the memory: they would do the same work.

    Raises:
        CommandError: One is going on.
    """
    sources = sorted(each.source for each in handlers if isinstance(each, IWorkflowHandler))
    if not sources or not isinstance(memory, ILeasedMachineMemory):
        yield
        return
    name = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:12]
    wait = f"{target} may still run in another process over this memory; waiting for its end"
    async with AsyncExitStack() as held:
        try:
            await held.enter_async_context(
                sole_process(memory, name=name, on_wait=partial(say, wait))
            )
        except MemoryInUseError as error:
            raise CommandError(
                f"{target} runs in another process over this memory; wait for its end, or give "
                "another --memory"
            ) from error
        except MachineMemoryError as error:
            raise CommandError(f"cannot use the memory: {one_line(error)}") from error
        yield


def _begin(outputs: Iterable[LineWriter]) -> None:
    """Discard what an earlier run wrote."""
    for output in outputs:
        output.begin()
