"""Takes lines of the input in, a bounded number at a time, and accounts for each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from arvo_cli._errors import (
    INTERRUPTED,
    CommandError,
    OutputError,
    PlainPayloadError,
    RejectedLineError,
    one_line,
)
from arvo_cli._terminal._display import Display
from arvo_cli._terminal._interrupt import end_process
from arvo_cli._terminal._report import Report, counted
from arvo_time import Clock

from ._lines import Line, LineReader
from ._rejects import Rejects
from ._request import Decoder, Request

Answer: TypeAlias = Callable[[Line, Request], Coroutine[object, object, None]]
"""Sees one line to its end: calls `Intake.fail` or `Intake.end` for it, once."""


class Intake:
    """One pass over the input.

    Args:
        decoder: Makes requests of lines.
        begin: Called before the first line, once the beginning of the input has been read.
        rejects: Receives the lines without a result.
        report: Updated as lines end.
        display: Shows the progress.
        concurrency: How many lines are under way at the same time.
        clock: For how long it takes.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        begin: Callable[[], None],
        rejects: Rejects,
        report: Report,
        display: Display,
        concurrency: int,
        clock: Clock,
    ) -> None:
        self._decoder = decoder
        self._begin = begin
        self._rejects = rejects
        self.report: Report = report
        """What became of the lines."""
        self.display: Display = display
        """Shows the progress."""
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._intake: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._open: dict[int, Line] = {}
        self._parked: set[int] = set()
        self._ended_bytes = 0
        self.cancelled: bool = False
        """Whether what was under way was cancelled."""
        self._unreadable: CommandError | None = None

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """Account for every line, and for the time, however the block ends.

        Raises:
            CommandError: The input could not be read any further; what was read has ended.
        """
        started = self._clock.monotonic()
        try:
            yield
            if self._unreadable is not None:
                raise self._unreadable
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            for line in list(self._open.values()):
                with suppress(OutputError):  # the same error is being raised already
                    self.fail(line, ["the run was broken off"])
            self.report.elapsed = self._clock.monotonic() - started

    async def over(
        self, lines: LineReader, answer: Answer, *, first: Callable[[], Awaitable[None]]
    ) -> None:
        """Take all lines, or those before `stop`, and see each to its end.

        Args:
            lines: The lines.
            answer: Sees one line to its end.
            first: Awaited before the first line.

        Raises:
            ExceptionGroup: Of what `first` and `answer` raise.
        """
        async with asyncio.TaskGroup() as tasks:
            self._intake = tasks.create_task(self._take_in(lines, tasks, answer, first))

    def stop(self) -> int:
        """Take no more lines; return how many are under way."""
        if self._intake is not None:
            self._intake.cancel()
        return len(self._open) - len(self._parked)

    def cancel(self) -> int:
        """Cancel what is under way; return how many lines that are."""
        self.cancelled = True
        for task in self._running:
            task.cancel()
        return len(self._open)

    def abandon(self) -> None:
        """End the process immediately. Safe in a signal handler."""
        written = counted(self.report.results + self.report.unasked, self.report.title)
        end_process(
            INTERRUPTED, say=f"arvo: ended immediately, without a summary; {written} written"
        )

    def is_open(self, line: Line) -> bool:
        """Return whether a line is under way."""
        return line.number in self._open

    def fail(self, line: Line, failures: list[str]) -> None:
        """End a line that has no result."""
        self.report.failed += 1
        self.end(line)
        self._rejects.add(line, "failed", reason="; ".join(failures))

    def park(self, line: Line) -> None:
        """Let another line begin, while this one only waits."""
        self._parked.add(line.number)
        self._slots.release()
        self._show()

    def leave_waiting(self, line: Line, *, until: str) -> None:
        """End a line whose workflow waits for a time."""
        self.report.waiting += 1
        self.end(line)
        self._rejects.add(line, "waiting", reason=f"waiting until {until}")

    def end(self, line: Line) -> None:
        """End a line that is counted."""
        self._open.pop(line.number, None)
        if line.number in self._parked:
            self._parked.remove(line.number)
        else:
            self._slots.release()
        self._ended_bytes += line.size
        self._show()

    def _show(self) -> None:
        self.display.advance(self.report, ended=self._ended_bytes, waiting=len(self._parked))

    async def _take_in(
        self,
        lines: LineReader,
        tasks: asyncio.TaskGroup,
        answer: Answer,
        first: Callable[[], Awaitable[None]],
    ) -> None:
        await first()
        try:
            await lines.begin()
        except CommandError as error:
            self._unreadable = error
            return
        self._begin()
        while True:
            # The slot comes first, so that `stop` never cancels with a line already taken.
            await self._slots.acquire()
            try:
                line = await lines.next()
            except CommandError as error:
                self._unreadable = error
                return
            if line is None:
                return
            try:
                request = self._decoder.decode(line)
            except RejectedLineError as error:
                self.report.payloads += isinstance(error, PlainPayloadError)
                self._reject(line, one_line(error))
            else:
                self._open[line.number] = line
                task = tasks.create_task(answer(line, request))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    def _reject(self, line: Line, reason: str) -> None:
        self.report.rejected += 1
        self._rejects.add(line, "rejected", reason=reason)
        self.end(line)
