"""Runs every line of the input to its final event, a bounded number at a time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from weakref import WeakValueDictionary

from arvo_cli._backend._next_due import NextTimers
from arvo_cli._errors import CommandError, one_line
from arvo_cli._input._intake import Intake
from arvo_cli._input._lines import Line, LineReader
from arvo_cli._input._request import Request
from arvo_cli._target._domains import refuse_domain
from arvo_cli._terminal._listing import local_time
from arvo_cli._terminal._report import counted
from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoError, ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import DeadLetter, DomainedEventListener, HandlerDefaults
from arvo_event_handler.memory import StoredWorkflow
from arvo_time import Clock

from ._earlier_results import EarlierResults
from ._line_state import LineState, line_state
from ._waiting_lines import WaitingLines

_WAITS = "ended without a final event; it may be waiting for something"


class Run:
    """One pass over the input.

    Args:
        handlers: The handlers of the target.
        listener: Receives events with a domain; None when the target has no listener.
        intake: Takes the lines in.
        earlier: Receives the final events of workflows of an earlier run.
        write: Receives the final events.
        concurrency: How many events each handler works on at the same time.
        recovers: Whether to go on, before the first line, with the workflows that an earlier run
            left unfinished. Otherwise each line resumes its own.
        wait: For how long to stay for timers, once nothing else is left to do.
        lasting: Whether the workflows outlive this process.
        clock: For latencies.
    """

    def __init__(
        self,
        *,
        handlers: list[IArvoEventHandler],
        listener: DomainedEventListener | None,
        intake: Intake,
        earlier: EarlierResults,
        write: Callable[[ArvoEvent], None],
        concurrency: int,
        recovers: bool,
        wait: timedelta,
        lasting: bool,
        clock: Clock,
    ) -> None:
        self._broker = ConcurrentEventBroker(
            handlers,
            defaults=HandlerDefaults(prefetch=concurrency),
            on_domained_event=listener or refuse_domain,
            on_broker_error=self._record_failure,
            on_dead_letter=_ignore,
            on_unclaimed=self._record_unclaimed,
            clock=clock,
        )
        self._intake = intake
        self._write = write
        self._earlier = earlier
        self._report = intake.report
        self._say = intake.display.say
        self._recovers = recovers
        self._clock = clock
        self._lasting = lasting
        self._waiting = WaitingLines(
            NextTimers(handlers),
            idle=self._broker.wait_idle,
            stay=wait,
            clock=clock,
            say=self._say,
        )
        # Equal events take turns: the broker could not tell their causal trees apart.
        self._turns: WeakValueDictionary[ArvoEvent, asyncio.Lock] = WeakValueDictionary()

    async def over(self, lines: LineReader) -> None:
        """Run all lines, or those before `stop`. Each line is counted in the report.

        Raises:
            CommandError: The input cannot be read any further; what was read has been run. Or a
                result cannot be written.
        """
        with self._intake.accounted():
            async with self._broker:
                await self._intake.over(lines, self._answer, first=self._recover)
                await self._waiting.stay()
                if self._intake.cancelled:
                    await self._broker.aclose(grace=timedelta(0))
            await self._leave_waiting()
            for answer in self._earlier.close():
                self._say(
                    f"not written, as the input could not be read: the final event {answer.type} "
                    f"{answer.id} of an earlier run; run its line again"
                )

    def stop(self) -> None:
        """Take no more lines, and finish what runs; what waits for time is left waiting."""
        self._waiting.stop()
        self._say(
            f"interrupted: no more input is taken, what runs ({self._intake.stop()}) is finished; "
            "interrupt again to cancel it"
        )

    def cancel(self) -> None:
        """Cancel what runs."""
        self._say(
            f"cancelling what runs ({self._intake.cancel()}); interrupt again to end immediately"
        )

    async def _recover(self) -> None:
        """Go on with what an earlier run left unfinished."""
        if not self._recovers:
            return
        try:
            count = await self._broker.recover(on_error=self._record_unrecovered)
        except ArvoError as error:
            raise CommandError(
                f"cannot look for the workflows that an earlier run left: {one_line(error)}"
            ) from error
        self._report.recovered = count
        if count:
            verb = "goes" if count == 1 else "go"
            self._say(f"{counted(count, 'workflow')} of an earlier run {verb} on")

    async def _record_unrecovered(self, workflow: StoredWorkflow, error: Exception) -> None:
        self._say(
            f"the {workflow.source} {workflow.key} of an earlier run cannot go on: {one_line(error)}"
        )

    async def _answer(self, line: Line, request: Request) -> None:
        """Run one line until it has a final event, has failed, or waits for time."""
        state = LineState(line=line, request=request, started=self._clock.monotonic())
        line_state.set(state)
        self._waiting.open(state)
        try:
            answer = await self._final_event(state)
        except asyncio.CancelledError:
            self._fail(state, [*state.failures, "cancelled"])
            raise
        except ArvoError as error:
            self._fail(state, state.failures or [one_line(error)])
        else:
            if answer is not None:
                self._end(state, answer)
            elif self._waiting.is_waiting(state):
                self._intake.park(line)
            else:
                self._fail(state, [_WAITS])

    async def _final_event(self, state: LineState) -> ArvoEvent | None:
        """Return a line's final event; None where there is none yet, or at all."""
        for _ in range(2):
            answer = await self._resolve(state.request) or state.answer
            # A timer may have fired in between, and what it leads to is then joined.
            if answer is not None or await self._waiting.begin(state):
                return answer or state.answer
        return None

    def _end(self, state: LineState, answer: ArvoEvent) -> None:
        """End a line that has its final event.

        Raises:
            OutputError: It cannot be written.
        """
        line = state.line
        if not self._earlier.is_written(answer):
            self._write(answer)
        state.answered = True
        latency = self._clock.monotonic() - state.started
        self._report.add_result(answer.type, latency=latency, repeated=state.request.repeated)
        if state.failures:
            self._report_disturbed(line, "; ".join(state.failures))
        self._waiting.close(state)
        self._intake.end(line)

    def _fail(self, state: LineState, failures: list[str]) -> None:
        self._waiting.close(state)
        self._intake.fail(state.line, failures)

    async def _leave_waiting(self) -> None:
        """Report the lines whose workflows still wait."""
        left = await self._waiting.left()
        for state, due in left:
            self._waiting.close(state)
            if due is None or state.failures:
                self._intake.fail(state.line, state.failures or [_WAITS])
            else:
                self._intake.leave_waiting(state.line, until=local_time(due.at))
        if self._report.waiting:
            self._say(
                "what waits for a time goes on when the same is run again over this memory; --wait "
                "stays for it"
                if self._lasting
                else "what waits for a time ends with this command; give a lasting --memory, and run "
                "the same again, or stay for it with --wait"
            )

    async def _resolve(self, request: Request) -> ArvoEvent | None:
        turn = self._turns.setdefault(request.event, asyncio.Lock())
        async with turn:
            return await self._broker.resolve(
                request.event, answer_to=request.answer_to, redelivered=not self._recovers
            )

    async def _record_failure(self, event: ArvoEvent, error: Exception) -> None:
        """Record a failure for the line that the context belongs to."""
        failure = f"{type(error).__name__} at {event.type} {event.id}: {one_line(error)}"
        state = line_state.get()
        if state is None:
            if not self._waiting.fail(event, failure):
                self._say(f"outside any line: {failure}")
        elif self._intake.is_open(state.line):
            state.failures.append(failure)
        elif state.answered:
            self._report_disturbed(state.line, failure)
        else:
            self._say(f"line {state.line.number} failed, and then: {failure}")

    async def _record_unclaimed(self, answer: ArvoEvent) -> None:
        """Write the answer of an earlier run's workflow, and report a second one of a line.

        Nothing more is said about a line that has failed.
        """
        state = line_state.get()
        if state is None:
            self._take(answer)
        elif state.answered:
            self._report_disturbed(state.line, f"a further answer came, {answer.type} {answer.id}")

    def _take(self, answer: ArvoEvent) -> None:
        """Take a final event that came of a timer, or of what an earlier run has left."""
        lines = self._waiting.asked_by(answer)
        for state in lines:
            if self._waiting.is_waiting(state):
                self._end(state, answer)
            else:
                state.answer = answer
        if not lines:
            self._earlier.take(answer)

    def _report_disturbed(self, line: Line, what: str) -> None:
        self._report.disturbed += 1
        self._say(f"line {line.number} has its result, but: {what}")


async def _ignore(letter: DeadLetter) -> None:
    """Do nothing: the reason is reported with the line."""
