"""One `arvo run`: its options, and how its parts are put together."""

import asyncio
import gc
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from arvo_cli._backend._concurrency import DEFAULT, default_concurrency
from arvo_cli._backend._engine_url import scheme_of
from arvo_cli._backend._memory_url import open_memory
from arvo_cli._backend._sole_run import sole_run
from arvo_cli._errors import INTERRUPTED
from arvo_cli._input._intake import Intake
from arvo_cli._input._line_files import LineFiles, LineOutputs
from arvo_cli._input._lines import LineReader
from arvo_cli._input._requests import contract_versions, decoder_for
from arvo_cli._options._values import LogLevel
from arvo_cli._target._target import Target, load_target
from arvo_cli._terminal._display import Display
from arvo_cli._terminal._interrupt import interrupts, woken_by_signals
from arvo_cli._terminal._log import shown_logs
from arvo_cli._terminal._report import Report
from arvo_core import EventLimits
from arvo_event_handler import IArvoEventHandler, IWorkflowHandler
from arvo_event_handler.memory import IWorkflowQueries
from arvo_time import SYSTEM_CLOCK

from ._earlier_results import EarlierResults
from ._run import Run

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
    files: LineFiles
    """The input and the outputs."""
    contract: str | None
    """URI and version of the contract of plain payloads; None for CloudEvents."""
    concurrency: int | None
    """How many lines are run at the same time; None for what suits the memory."""
    memory: str
    """The machine memory's URL."""
    wait: timedelta
    """For how long to stay for timers, once nothing else is left to do."""
    log_level: LogLevel
    """The lowest level of log records that are shown."""

    def run(self) -> int:
        """Run the input and return the exit status.

        Raises:
            CommandError: The run cannot start or continue.
        """
        with ExitStack() as opened:
            lines = self.files.open_input(opened)
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
            limits = EventLimits(max_bytes=self.files.max_line_bytes)
            decoder = decoder_for(handlers, self.contract, limits=limits)
            outputs = self.files.open_outputs(opened, display=display)
            concurrency = self.concurrency or default_concurrency(self.memory)
            report = Report()
            earlier = EarlierResults(outputs.write_event, report)
            intake = Intake(
                decoder=decoder,
                begin=partial(_begin, outputs, earlier),
                rejects=outputs.rejects,
                report=report,
                display=display,
                concurrency=concurrency,
                clock=SYSTEM_CLOCK,
            )
            run = Run(
                handlers=handlers,
                listener=target.listener,
                intake=intake,
                earlier=earlier,
                write=outputs.write_event,
                concurrency=concurrency,
                recovers=_are_listed(handlers),
                wait=self.wait,
                lasting=scheme_of(self.memory) != scheme_of(DEFAULT),
                clock=SYSTEM_CLOCK,
            )
            try:
                # Outside what answers interrupts: one that comes while this waits ends the command.
                async with sole_run(memory, handlers, target=self.target, say=display.say):
                    with display, interrupts(run.stop, run.cancel, last=intake.abandon) as came:
                        await run.over(lines)
            finally:
                outputs.rejects.flush()
                await self.files.conclude(report, lines, contracts=contract_versions(handlers))
            if came.count:
                return INTERRUPTED
            return CLEAN if report.is_clean else INCOMPLETE


def _are_listed(handlers: Iterable[IArvoEventHandler]) -> bool:
    """Return whether the memories can tell which workflows an earlier run left unfinished."""
    return all(
        isinstance(handler.memory, IWorkflowQueries)
        for handler in handlers
        if isinstance(handler, IWorkflowHandler)
    )


def _begin(outputs: LineOutputs, earlier: EarlierResults) -> None:
    """Discard what an earlier run wrote, and write what its workflows have answered since."""
    outputs.begin()
    earlier.begin()
