"""The summary of a run."""

from io import StringIO

import pytest
from rich.console import Console

from arvo_cli._terminal._report import Report


def shown(report: Report) -> list[str]:
    console = Console(file=StringIO(), width=80)
    with console.capture() as capture:
        console.print(report)
    return capture.get().splitlines()


@pytest.fixture
def report() -> Report:
    report = Report()
    for type in ("evt.a.b", "evt.a.b", "evt.c.d"):
        report.add_result(type, latency=0.25, repeated=type == "evt.c.d")
    report.rejected = 2
    return report


def test_summary_counts_every_line(report: Report) -> None:
    assert shown(report) == [
        "final event           count",
        "───────────────────────────",
        "evt.a.b                   2",
        "evt.c.d                   1",
        "(rejected, not run)       2",
        "",
        "3 results + 2 rejected + 0 failed = 5 lines read",
        "1 of the results answers an event seen on an earlier line",
        "latency p50 250 ms, p95 250 ms",
    ]


@pytest.mark.parametrize(
    ("elapsed", "end"),
    [
        (1.5, "; 2.0 events per second in 1.50 s"),
        (0.002, "; 1,500 events per second in 0.00 s"),
        (0.0, "p95 250 ms"),  # a clock too coarse for a rate
    ],
)
def test_summary_ends_with_the_rate(report: Report, elapsed: float, end: str) -> None:
    report.elapsed = elapsed
    assert shown(report)[-1].endswith(end)


def test_summary_of_an_empty_input_has_no_table() -> None:
    assert shown(Report()) == ["0 results + 0 rejected + 0 failed = 0 lines read"]
