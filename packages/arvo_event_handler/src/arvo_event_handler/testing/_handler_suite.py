"""Tests handlers and workflows with cases of steps."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_time.settings import check_count, check_duration, check_number

from ._expectation import ExpectedError, ExpectedEvent
from ._passing_time import UnmovableTimeError, pass_time
from ._suite_report import CaseReport, RunReport, StepFailure, SuiteReport

StepInput: TypeAlias = ArvoEvent | Callable[[Sequence[Sequence[ArvoEvent]]], ArvoEvent]
"""An event, or a function that makes it from what each step before this one emitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerStep:
    """One event for the handler, and the expected outcome."""

    input: StepInput
    """The event; or a function that is given one list of emitted events for each step before."""
    expects: Sequence[ExpectedEvent] | ExpectedError
    """The events that must be emitted, all of them and in order; or the error that must be
    raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeStep:
    """Time that passes, and what the timers lead to that are due by its end, each at its own time.

    The handler's workflows must tell the time by a `FakeClock`, which `make_handler` gives to
    `ExecutionPolicy(clock=...)` and to `ConcurrentMachineMemory(clock=...)`. An error that a timer
    leads to ends the step, and that timer comes again 30 seconds later.

    Raises:
        TypeError: `advance` is not a timedelta.
        ValueError: `advance` is negative.
    """

    advance: timedelta
    """How far the clock moves; zero fires what is due already."""
    expects: Sequence[ExpectedEvent] | ExpectedError
    """The events that must be emitted, all of them and in order; or the error that must be
    raised."""

    def __post_init__(self) -> None:
        check_duration(self.advance, name="advance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """How often to run a case that may fail now and then, such as that of a handler with a model.

    Raises:
        TypeError: `times` is not an int, or `min_success` not a number.
        ValueError: `times` is below 1, or `min_success` not above 0 and at most 1.
    """

    times: int
    """Number of runs, each with a handler of its own."""
    min_success: float = 1.0
    """The share of runs that must pass, above 0 and at most 1."""

    def __post_init__(self) -> None:
        check_count(self.times, name="times", least=1)
        check_number(self.min_success, name="min_success")
        if not 0 < self.min_success <= 1:
            raise ValueError(f"min_success must be above 0 and at most 1, got {self.min_success}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerCase:
    """Steps that belong together, such as a workflow's start and its replies.

    Raises:
        ValueError: `steps` is empty.
    """

    name: str
    """What the case proves."""
    steps: Sequence[HandlerStep | TimeStep]
    """The steps in order; the first that fails ends the run."""
    repeat: Repeat | None = None
    """How often to run the case. None: once, and it must pass."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError(f"case {self.name!r} has no steps, so it would prove nothing")

    @override
    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerSuite:
    """Cases for one handler, stateless or stateful.

    With pytest, run each case as a test of its own:

    ```python
    @pytest.mark.parametrize("case", SUITE.cases, ids=str)
    async def test_add(case: HandlerCase) -> None:
        await SUITE.check(case)
    ```

    Without it, `run` gives a report to print. TypeScript: `runArvoTestSuites`.

    Raises:
        ValueError: Two cases have the same name.
    """

    make_handler: Callable[[], IArvoEventHandler]
    """Called for each run of a case, so that no run sees what another stored: make a workflow's
    memory in here too."""
    cases: Sequence[HandlerCase]
    """The cases, each independent of the others."""

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(map(str, self.cases)).items() if count > 1]
        if twice:
            raise ValueError(f"several cases are named {', '.join(map(repr, twice))}")

    async def run(self) -> SuiteReport:
        """Run all cases, one after another; failures are in the report, never raised."""
        return SuiteReport(cases=tuple([await self.run_case(case) for case in self.cases]))

    async def run_case(self, case: HandlerCase) -> CaseReport:
        """Run one case, with its repeats; failures are in the report, never raised."""
        repeat = case.repeat or Repeat(times=1)
        runs = tuple([await self._run_once(case) for _ in range(repeat.times)])
        return CaseReport(name=case.name, runs=runs, min_success=repeat.min_success)

    async def check(self, case: HandlerCase) -> None:
        """Run one case and fail the test around it when the case fails.

        Raises:
            AssertionError: The case failed; the message says at which step and how.
        """
        __tracebackhide__ = True
        report = await self.run_case(case)
        if not report.passed:
            causes = [run.failure.error for run in report.runs if run.failure is not None]
            raise AssertionError(str(report)) from next(filter(None, causes), None)

    async def _run_once(self, case: HandlerCase) -> RunReport:
        try:
            handler = self.make_handler()
        except Exception as error:
            why = f"the handler could not be made: {type(error).__name__}: {error}"
            return RunReport(
                failure=StepFailure(step=1, event=None, differences=(why,), error=error)
            )
        emitted: list[list[ArvoEvent]] = []
        for number, step in enumerate(case.steps, start=1):
            outcome = await _run_step(handler, step, number=number, before=emitted)
            if isinstance(outcome, StepFailure):
                return RunReport(failure=outcome)
            emitted.append(outcome)
        return RunReport(failure=None)


async def _run_step(
    handler: IArvoEventHandler,
    step: HandlerStep | TimeStep,
    *,
    number: int,
    before: Sequence[Sequence[ArvoEvent]],
) -> list[ArvoEvent] | StepFailure:
    """Return what a step emitted, nothing if it failed as expected; or how it went wrong."""
    event: ArvoEvent | None = None
    advance = step.advance if isinstance(step, TimeStep) else None
    try:
        if isinstance(step, TimeStep):
            emitted = await pass_time(handler, step.advance)
        else:
            event = step.input(before) if callable(step.input) else step.input
            emitted = await handler.execute(event)
    except Exception as error:
        if isinstance(error, UnmovableTimeError):
            differences = [str(error)]
        elif event is None and advance is None:
            differences = [f"the input could not be made: {type(error).__name__}: {error}"]
        elif isinstance(step.expects, ExpectedError):
            differences = step.expects.differences(error)
        else:
            differences = [f"expected events, but it raised {type(error).__name__}: {error}"]
        if not differences:
            return []
        return StepFailure(
            step=number, event=event, differences=tuple(differences), error=error, advance=advance
        )
    if isinstance(step.expects, ExpectedError):
        differences = [f"expected {step.expects.type.__name__}, but it raised nothing"]
    else:
        differences = _event_differences(step.expects, emitted)
    if not differences:
        return emitted
    return StepFailure(
        step=number,
        event=event,
        differences=tuple(differences),
        emitted=tuple(emitted),
        advance=advance,
    )


def _event_differences(expected: Sequence[ExpectedEvent], emitted: list[ArvoEvent]) -> list[str]:
    if len(expected) != len(emitted):
        return [f"expected {len(expected)} events, got {len(emitted)}"]
    return [
        f"emitted event {number}, {line}"
        for number, (wanted, event) in enumerate(zip(expected, emitted, strict=True), start=1)
        for line in wanted.differences(event)
    ]
