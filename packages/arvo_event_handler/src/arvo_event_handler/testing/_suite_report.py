"""The results of running a handler suite, readable as text."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from arvo_core import ArvoEvent

_MAX_DATA_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailure:
    """The step at which a run ended, and why."""

    step: int
    """Counted from 1."""
    event: ArvoEvent | None
    """What the handler was given; None when time has passed instead, or when the step's input or the
    handler could not be made."""
    differences: tuple[str, ...]
    """How the outcome differs from what was expected, one line each."""
    emitted: tuple[ArvoEvent, ...] = ()
    """What the handler emitted in this step."""
    error: Exception | None = None
    """What was raised; None when nothing was."""
    advance: timedelta | None = None
    """How much time has passed in the step; None when it was given an event."""

    @override
    def __str__(self) -> str:
        given = "" if self.event is None else f", given {self.event.type} {self.event.id!r}"
        if self.advance is not None:
            given = f", after {self.advance}"
        return "\n".join(
            [
                f"step {self.step}{given}:",
                *(f"  {line}" for line in self.differences),
                *(f"  it emitted {_summary(event)}" for event in self.emitted),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run of a case."""

    failure: StepFailure | None
    """None when every step did as expected."""

    @property
    def passed(self) -> bool:
        """Whether every step did as expected."""
        return self.failure is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReport:
    """All runs of one case."""

    name: str
    """The case's name."""
    runs: tuple[RunReport, ...]
    """The runs in order; one unless the case is repeated."""
    min_success: float
    """The share of runs that must pass."""

    @property
    def success(self) -> float:
        """The share of runs that passed, 0 to 1."""
        return sum(run.passed for run in self.runs) / len(self.runs)

    @property
    def passed(self) -> bool:
        """Whether enough runs passed."""
        return self.success >= self.min_success

    @override
    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        verdict = "pass" if self.passed else "FAIL"
        if len(self.runs) == 1:
            yield f"{verdict}  {self.name}"
        else:
            passed = sum(run.passed for run in self.runs)
            wanted = f"{self.min_success:.0%} wanted"
            yield f"{verdict}  {self.name} ({passed} of {len(self.runs)} runs, {wanted})"
        for number, run in enumerate(self.runs, start=1):
            if run.failure is not None:
                where = "" if len(self.runs) == 1 else f"run {number}, "
                first, *others = str(run.failure).splitlines()
                yield f"      {where}{first}"
                yield from (f"      {line}" for line in others)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteReport:
    """All cases of a suite. As text: a line for each case, and how each failed run went wrong."""

    cases: tuple[CaseReport, ...]
    """The cases in the suite's order."""

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(case.passed for case in self.cases)

    @override
    def __str__(self) -> str:
        passed = sum(case.passed for case in self.cases)
        return "\n".join([*map(str, self.cases), f"{passed} of {len(self.cases)} cases passed"])


def _summary(event: ArvoEvent) -> str:
    data = repr(event.data)
    if len(data) > _MAX_DATA_CHARACTERS:
        data = f"{data[:_MAX_DATA_CHARACTERS]}... ({len(data)} characters)"
    domain = "" if event.domain is None else f" in domain {event.domain!r}"
    return f"{event.type} to {event.to!r}{domain}: {data}"
