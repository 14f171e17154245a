"""The report of a storm."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

from typing_extensions import override

from arvo_core import ArvoEvent

from ._shopping import SHOPPING
from ._workload import Workload


@dataclass(slots=True, kw_only=True)
class Report:
    """The counts of a storm, and the problems it found."""

    memory: str = ""
    """The scheme of the memory."""
    workflows: int = 0
    """How many were started."""
    seconds: float = 0
    """Duration of the storm."""
    kills: int = 0
    """How many workers were killed."""
    freezes: int = 0
    """How many workers were stopped for longer than a lease lasts."""
    handled: int = 0
    """How many deliveries were acknowledged."""
    redelivered: int = 0
    """How many deliveries were not the first of their event."""
    contended: int = 0
    """How many deliveries found their workflow taken, or could not be stored, and came again."""
    completions: int = 0
    """How many workflows completed."""
    duplicates: int = 0
    """How many completions came again, with the same id and the same data."""
    doubles: int = 0
    """How many completed again with another id or other data."""
    wrong: int = 0
    """How many answers differed from the expected ones."""
    ticks: int = 0
    """How many ticks of timers were published."""
    listings: int = 0
    """How often all workflows were listed, after some had started."""
    unlisted: int = 0
    """How many that had started were missing from a listing."""
    ledger: dict[str, int] = field(default_factory=dict)
    """The sums of the ledger."""
    booked_again: int = 0
    """How many bookings came again for the same request, and were not counted."""
    problems: list[str] = field(default_factory=list)
    """One line for each thing lost, double or wrong; empty without problems."""

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, double or wrong."""
        return not self.problems

    def to_json(self) -> str:
        """Return it for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote."""
        return cls(**json.loads(text))

    @override
    def __str__(self) -> str:
        sums = ", ".join(f"{name} {amount}" for name, amount in sorted(self.ledger.items()))
        handled = f"{self.handled} handled, {self.redelivered} redelivered"
        lines = [
            f"{self.workflows} workflows over {self.memory} in {self.seconds:.1f} s",
            f"  kills         {self.kills}, and {self.freezes} freezes",
            f"  deliveries    {handled}, {self.contended} contended",
            f"  completions   {self.completions}, and {self.duplicates} duplicates",
            f"  wrong         {self.wrong} answers, {self.doubles} double completions",
            *([f"  ticks         {self.ticks}"] if self.ticks else []),
            f"  listings      {self.listings}, with {self.unlisted} workflows missing",
            f"  ledger        {sums}; {self.booked_again} booked again",
            *(f"  FAILED        {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


@dataclass(slots=True)
class Answers:
    """The completions that the client gets."""

    numbers: dict[str, int]
    """The number of each workflow, by subject."""
    report: Report
    """The report that counts them."""
    workload: Workload = SHOPPING
    """What the workflows do."""
    first: dict[int, ArvoEvent] = field(default_factory=dict)
    """The first completion of each workflow."""

    def take(self, event: ArvoEvent) -> None:
        """Count an event that reached the client."""
        number = self.numbers.get(event.subject)
        if number is None:
            self._wrong(f"{event.type} of an unknown workflow")
            return
        first = self.first.setdefault(number, event)
        if first is not event:
            if (first.id, first.type, first.data) == (event.id, event.type, event.data):
                self.report.duplicates += 1
            else:
                self.report.doubles += 1
                self.report.problems.append(f"workflow {number} completed twice, differently")
            return
        self.report.completions += 1
        complaint = self.workload.complaint(number, event)
        if complaint is not None:
            self._wrong(f"workflow {number}: {complaint}")

    def close(self, *, sums: dict[str, int], booked_again: int) -> None:
        """Compare with the expected completions and sums."""
        report = self.report
        lost = sorted(set(self.numbers.values()) - set(self.first))
        if lost:
            some = ", ".join(map(str, lost[:10]))
            report.problems.append(f"{len(lost)} workflows lost: {some}{' ...' * (len(lost) > 10)}")
        report.ledger, report.booked_again = dict(sums), booked_again
        expected = self.workload.sums(report.workflows, self.first)
        for account in sorted(expected | sums):
            if sums.get(account) != expected[account]:
                report.problems.append(
                    f"ledger: {account} is {sums.get(account, 0)}, not {expected[account]}"
                )

    def _wrong(self, what: str) -> None:
        self.report.wrong += 1
        self.report.problems.append(what)
