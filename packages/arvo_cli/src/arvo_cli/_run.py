"""Drives every line of the input to its final event, a bounded number at a time."""

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
class _Trouble:
    """What goes wrong while one line is run, and after it."""

    line: Line
    failures: list[str] = field(default_factory=list)
    answered: bool = False
    """Whether the line has its result."""


# Handlers run deep inside the broker; the context tells which line they run for.
_trouble: ContextVar[_Trouble | None] = ContextVar("trouble", default=None)


class UnheardDomainError(ArvoError):
    """An event is for a domain, and the target has nobody who listens to domains."""


class Run:
    """One pass over the input.

    Args:
        handlers: Who handles the events.
        listener: Receives events with a domain; None when nobody does.
        decoder: Makes requests of lines.
        begin: Is called before the first line, once the input has turned out to be readable.
        write: Takes the final events.
        rejects: Takes the lines without one.
        report: Is kept up to date.
        display: Shows how far the run is.
        concurrency: How many lines are run at the same time.
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
        clock: Clock,
    ) -> None:
        self._broker = ConcurrentEventBroker(
            handlers,
            defaults=HandlerDefaults(prefetch=concurrency),
            on_domained_event=listener or _refuse,
            on_broker_error=self._note,
            on_dead_letter=_ignore,
            on_unclaimed=self._note_unclaimed,
            clock=clock,
        )
        self._decoder = decoder
        self._begin = begin
        self._write = write
        self._rejects = rejects
        self.report = report
        """The counts so far."""
        self._display = display
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._intake: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._open: dict[int, Line] = {}
        # Equal events take turns: the broker could not tell their causal trees apart.
        self._turns: WeakValueDictionary[ArvoEvent, asyncio.Lock] = WeakValueDictionary()
        self.interrupted = False
        """Whether `stop` was called."""
        self._cancelled = False
        self._unreadable: CommandError | None = None

    async def over(self, lines: LineReader) -> None:
        """Run all lines, or those up to a `stop`. Each line is counted in the report.

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
            if self._unreadable is not None:  # what was read before has its results
                raise self._unreadable
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            for line in list(self._open.values()):
                with suppress(OutputError):  # it is what breaks the run off, and is being raised
                    self._fail(line, ["the run was broken off"])
            self.report.elapsed = self._clock.monotonic() - started

    def stop(self) -> None:
        """Take no more lines; what runs is finished."""
        self.interrupted = True
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
            f"cancelling what runs ({len(self._open)}); interrupt again to end at once"
        )
        for task in self._running:
            task.cancel()

    def abandon(self) -> None:
        """End the process now; fit for a signal handler."""
        written = counted(self.report.results, "final event")
        end_process(INTERRUPTED, say=f"arvo: ended at once, without a summary; {written} written")

    async def _take_in(self, lines: LineReader, tasks: asyncio.TaskGroup) -> None:
        try:
            await lines.begin()
        except CommandError as error:
            self._unreadable = error
            return
        self._begin()
        while True:
            # The slot comes first, so that no line is in hand when `stop` strikes.
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

    async def _answer(self, line: Line, request: Request) -> None:
        """Run one line to its end, whatever that is."""
        trouble = _Trouble(line=line)
        _trouble.set(trouble)
        started = self._clock.monotonic()
        try:
            answer = await self._resolve(request)
        except asyncio.CancelledError:
            self._fail(line, [*trouble.failures, "cancelled"])
            raise
        except ArvoError as error:
            self._fail(line, trouble.failures or [one_line(error)])
        else:
            if answer is None:
                self._fail(line, ["ended without a final event; it may be waiting for something"])
                return
            self._write(answer)
            trouble.answered = True
            latency = self._clock.monotonic() - started
            self.report.add_result(answer.type, latency=latency, repeated=request.repeated)
            if trouble.failures:
                self._tell_disturbed(line, "; ".join(trouble.failures))
            self._end(line)

    async def _resolve(self, request: Request) -> ArvoEvent | None:
        turn = self._turns.setdefault(request.event, asyncio.Lock())
        async with turn:
            return await self._broker.resolve(request.event, answer_to=request.answer_to)

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

    async def _note(self, event: ArvoEvent, error: Exception) -> None:
        """Keep a failure for the line that is being run."""
        failure = f"{type(error).__name__} at {event.type} {event.id}: {one_line(error)}"
        trouble = _trouble.get()
        if trouble is None:
            self._display.say(f"outside any line: {failure}")
        elif trouble.line.number in self._open:
            trouble.failures.append(failure)
        elif trouble.answered:
            self._tell_disturbed(trouble.line, failure)
        else:
            self._display.say(f"line {trouble.line.number} failed, and then: {failure}")

    async def _note_unclaimed(self, answer: ArvoEvent) -> None:
        """Tell of an answer beside the result; a line that has failed was told already."""
        trouble = _trouble.get()
        if trouble is not None and trouble.answered:
            self._tell_disturbed(trouble.line, f"a further answer came, {answer.type} {answer.id}")

    def _tell_disturbed(self, line: Line, what: str) -> None:
        self.report.disturbed += 1
        self._display.say(f"line {line.number} has its result, but: {what}")


async def _ignore(letter: DeadLetter) -> None:
    """Its line says what became of it."""


async def _refuse(event: ArvoEvent, publish: Publish) -> None:
    raise UnheardDomainError(
        f"it is for the domain {event.domain!r}, but the target's module defines no "
        "`async def on_domained_event(event, publish)`"
    )
