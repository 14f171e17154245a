"""Runs every line of the input to its final event, a bounded number at a time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoError, ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import DeadLetter, DomainedEventListener, HandlerDefaults, Publish
from arvo_event_handler.memory import StoredWorkflow
from arvo_time import Clock

from ._display import Display
from ._errors import (
    INTERRUPTED,
    CommandError,
    OutputError,
    PlainPayloadError,
    RejectedLineError,
    one_line,
)
from ._input import Decoder, Request
from ._interrupt import end_process
from ._lines import Line, LineReader
from ._rejects import Rejects
from ._report import Report, counted


@dataclass(slots=True, kw_only=True)
class _LineState:
    """Failures of one line while it is run, and after it."""

    line: Line
    failures: list[str] = field(default_factory=list)
    answered: bool = False
    """Whether the line has its result."""


# Handlers run deep inside the broker; the context says which line they run for.
_line_state: ContextVar[_LineState | None] = ContextVar("line_state", default=None)


class UnheardDomainError(ArvoError):
    """An event is for a domain, and the target has no listener for domains."""


class Run:
    """One pass over the input.

    Args:
        handlers: The handlers of the target.
        listener: Receives events with a domain; None when the target has no listener.
        decoder: Makes requests of lines.
        begin: Called before the first line, once the beginning of the input has been read.
        write: Receives the final events.
        rejects: Receives the lines without a final event.
        report: Updated as lines end.
        display: Shows the progress of the run.
        concurrency: How many lines are run at the same time.
        recovers: Whether to go on, before the first line, with the workflows that an earlier run
            left unfinished. Otherwise each line resumes its own.
        clock: For latencies.
    """

    def __init__(
        self,
        *,
        handlers: list[IArvoEventHandler],
        listener: DomainedEventListener | None,
        decoder: Decoder,
        begin: Callable[[], None],
        write: Callable[[ArvoEvent], None],
        rejects: Rejects,
        report: Report,
        display: Display,
        concurrency: int,
        recovers: bool,
        clock: Clock,
    ) -> None:
        self._broker = ConcurrentEventBroker(
            handlers,
            defaults=HandlerDefaults(prefetch=concurrency),
            on_domained_event=listener or _refuse,
            on_broker_error=self._record_failure,
            on_dead_letter=_ignore,
            on_unclaimed=self._record_unclaimed,
            clock=clock,
        )
        self._decoder = decoder
        self._begin = begin
        self._write = write
        self._rejects = rejects
        self.report = report
        self._display = display
        self._recovers = recovers
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._intake: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._open: dict[int, Line] = {}
        # Equal events take turns: the broker could not tell their causal trees apart.
        self._turns: WeakValueDictionary[ArvoEvent, asyncio.Lock] = WeakValueDictionary()
        self._cancelled = False
        self._unreadable: CommandError | None = None

    async def over(self, lines: LineReader) -> None:
        """Run all lines, or those before `stop`. Each line is counted in the report.

        Raises:
            CommandError: The input cannot be read any further; what was read has been run. Or a
                result cannot be written.
        """
        started = self._clock.monotonic()
        try:
            async with self._broker:
                async with asyncio.TaskGroup() as tasks:
                    self._intake = tasks.create_task(self._take_in(lines, tasks))
                if self._cancelled:
                    await self._broker.aclose(grace=timedelta(0))
            if self._unreadable is not None:  # the lines before that have been run
                raise self._unreadable
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            for line in list(self._open.values()):
                with suppress(OutputError):  # the same error is being raised already
                    self._fail(line, ["the run was broken off"])
            self.report.elapsed = self._clock.monotonic() - started

    def stop(self) -> None:
        """Take no more lines, and finish what runs."""
        if self._intake is not None:
            self._intake.cancel()
        self._display.say(
            f"interrupted: no more input is taken, what runs ({len(self._open)}) is finished; "
            "interrupt again to cancel it"
        )

    def cancel(self) -> None:
        """Cancel what runs."""
        self._cancelled = True
        self._display.say(
            f"cancelling what runs ({len(self._open)}); interrupt again to end immediately"
        )
        for task in self._running:
            task.cancel()

    def abandon(self) -> None:
        """End the process immediately. Safe in a signal handler."""
        written = counted(self.report.results, "final event")
        end_process(
            INTERRUPTED, say=f"arvo: ended immediately, without a summary; {written} written"
        )

    async def _take_in(self, lines: LineReader, tasks: asyncio.TaskGroup) -> None:
        if self._recovers:
            await self._recover()
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
                task = tasks.create_task(self._answer(line, request))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _recover(self) -> None:
        """Go on with what an earlier run left unfinished."""
        try:
            count = await self._broker.recover(on_error=self._record_unrecovered)
        except ArvoError as error:
            raise CommandError(
                f"cannot look for the workflows that an earlier run left: {one_line(error)}"
            ) from error
        self.report.recovered = count
        if count:
            verb = "goes" if count == 1 else "go"
            self._display.say(f"{counted(count, 'workflow')} of an earlier run {verb} on")

    async def _record_unrecovered(self, workflow: StoredWorkflow, error: Exception) -> None:
        self._display.say(
            f"the {workflow.source} {workflow.key} of an earlier run cannot go on: {one_line(error)}"
        )

    async def _answer(self, line: Line, request: Request) -> None:
        """Run one line until it has a final event or has failed."""
        state = _LineState(line=line)
        _line_state.set(state)
        started = self._clock.monotonic()
        try:
            answer = await self._resolve(request)
        except asyncio.CancelledError:
            self._fail(line, [*state.failures, "cancelled"])
            raise
        except ArvoError as error:
            self._fail(line, state.failures or [one_line(error)])
        else:
            if answer is None:
                self._fail(line, ["ended without a final event; it may be waiting for something"])
                return
            self._write(answer)
            state.answered = True
            latency = self._clock.monotonic() - started
            self.report.add_result(answer.type, latency=latency, repeated=request.repeated)
            if state.failures:
                self._report_disturbed(line, "; ".join(state.failures))
            self._end(line)

    async def _resolve(self, request: Request) -> ArvoEvent | None:
        turn = self._turns.setdefault(request.event, asyncio.Lock())
        async with turn:
            return await self._broker.resolve(
                request.event, answer_to=request.answer_to, redelivered=not self._recovers
            )

    def _reject(self, line: Line, reason: str) -> None:
        self.report.rejected += 1
        self._rejects.add(line, "rejected", reason=reason)
        self._end(line)

    def _fail(self, line: Line, failures: list[str]) -> None:
        self.report.failed += 1
        self._end(line)
        self._rejects.add(line, "failed", reason="; ".join(failures))

    def _end(self, line: Line) -> None:
        self._open.pop(line.number, None)
        self._slots.release()
        self._display.advance(self.report, position=line.end)

    async def _record_failure(self, event: ArvoEvent, error: Exception) -> None:
        """Record a failure for the line that the context belongs to."""
        failure = f"{type(error).__name__} at {event.type} {event.id}: {one_line(error)}"
        state = _line_state.get()
        if state is None:
            self._display.say(f"outside any line: {failure}")
        elif state.line.number in self._open:
            state.failures.append(failure)
        elif state.answered:
            self._report_disturbed(state.line, failure)
        else:
            self._display.say(f"line {state.line.number} failed, and then: {failure}")

    async def _record_unclaimed(self, answer: ArvoEvent) -> None:
        """Report a second answer; nothing more is said about a line that has failed."""
        state = _line_state.get()
        if state is not None and state.answered:
            self._report_disturbed(state.line, f"a further answer came, {answer.type} {answer.id}")

    def _report_disturbed(self, line: Line, what: str) -> None:
        self.report.disturbed += 1
        self._display.say(f"line {line.number} has its result, but: {what}")


async def _ignore(letter: DeadLetter) -> None:
    """Do nothing: the reason is reported with the line."""


async def _refuse(event: ArvoEvent, publish: Publish) -> None:
    raise UnheardDomainError(
        f"the event has the domain {event.domain!r}, but the target's module does not define "
        "`async def on_domained_event(event, publish)`"
    )
