"""What became of the input: counts, latencies, and the table that shows them."""

from array import array
from collections import Counter
from collections.abc import Iterator
from statistics import quantiles

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


class Report:
    """Counts every line of the input exactly once.

    Args:
        title: What a line that succeeds gives, in the singular.
    """

    def __init__(self, *, title: str = "final event") -> None:
        self.title: str = title
        """What a line that succeeds gives."""
        self.types: Counter[str] = Counter()
        """Results by the type of the final event."""
        self.rejected = 0
        """Lines that were not run."""
        self.failed = 0
        """Lines that were run and got no final event."""
        self.waiting = 0
        """Lines whose workflows wait for a time."""
        self.not_started = 0
        """Lines that were not run because the run was stopped."""
        self.blank = 0
        """Blank lines, which do not count as lines."""
        self.payloads = 0
        """Rejected lines that may be plain payloads."""
        self.repeated = 0
        """Results of events that an earlier line held too."""
        self.recovered = 0
        """Workflows of an earlier run that went on."""
        self.unasked = 0
        """Final events of such workflows that no line has asked for."""
        self.disturbed = 0
        """Lines with a result, on which something else failed."""
        self.elapsed = 0.0
        """Duration of the run in seconds."""
        self._latencies = array("d")

    @property
    def results(self) -> int:
        """Lines that got a final event."""
        return self.types.total()

    @property
    def lines(self) -> int:
        """Lines read; blank ones do not count."""
        return self.results + self.rejected + self.failed + self.waiting + self.not_started

    @property
    def is_clean(self) -> bool:
        """Whether nothing was rejected and nothing failed."""
        return not (self.rejected or self.failed or self.waiting or self.disturbed)

    def add_result(self, type: str, *, latency: float, repeated: bool) -> None:
        """Count a line that got its final event.

        Args:
            type: The final event's type.
            latency: From taking the line to its final event, in seconds.
            repeated: Whether an earlier line held the same event.
        """
        self.types[type] += 1
        self.repeated += repeated
        self._latencies.append(latency)

    def percentile(self, percent: int) -> float | None:
        """Return a percentile of the latencies in seconds; None without results."""
        if not self._latencies:
            return None
        if len(self._latencies) == 1:
            return self._latencies[0]
        return quantiles(self._latencies, n=100, method="inclusive")[percent - 1]

    def balance(self) -> str:
        """Return one line that adds up what became of the input's lines."""
        parts = [
            counted(self.results, "result"),
            f"{self.rejected} rejected",
            f"{self.failed} failed",
        ]
        if self.waiting:
            parts.append(f"{self.waiting} waiting")
        if self.not_started:
            parts.append(f"{self.not_started} not started")
        return f"{' + '.join(parts)} = {counted(self.lines, 'line')} read"

    def __rich__(self) -> RenderableType:
        """Show the report as a table."""
        return Group(*self._table(), *self._figures())

    def _table(self) -> Iterator[RenderableType]:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column(self.title, overflow="fold")
        table.add_column("count", justify="right")
        for type, count in sorted(self.types.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(type, str(count))
        for name, count in (
            ("(rejected, not run)", self.rejected),
            (f"(failed, no {self.title})", self.failed),
            ("(waiting for a time)", self.waiting),
            ("(not started)", self.not_started),
        ):
            if count:
                table.add_row(name, str(count))
        if table.row_count:
            yield table
            yield Text()

    def _figures(self) -> Iterator[Text]:
        yield Text(self.balance())
        if self.repeated:
            verb = "answers" if self.repeated == 1 else "answer"
            yield Text(f"{self.repeated} of the results {verb} an event seen on an earlier line")
        if self.recovered:
            yield Text(
                f"{counted(self.recovered, 'workflow')} of an earlier run went on{self._also()}"
            )
        if self.blank:
            yield Text(f"{counted(self.blank, 'blank line')} skipped")
        p50, p95 = self.percentile(50), self.percentile(95)
        if p50 is not None and p95 is not None:
            yield Text(f"latency p50 {_milliseconds(p50)}, p95 {_milliseconds(p95)}{self._rate()}")

    def _also(self) -> str:
        if not self.unasked:
            return ""
        verb = "is" if self.unasked == 1 else "are"
        return f"; {counted(self.unasked, 'final event')} of no line {verb} among the results"

    def _rate(self) -> str:
        if not self.elapsed:
            return ""
        rate = self.results / self.elapsed
        shown = f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"
        return f"; {shown} events per second in {self.elapsed:.2f} s"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 line", "2 lines"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _milliseconds(seconds: float) -> str:
    number = seconds * 1000
    return f"{number:.1f} ms" if number < 100 else f"{number:,.0f} ms"
