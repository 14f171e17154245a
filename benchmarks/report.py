"""Figures for people and for programs."""

from typing import Any

from .machine import machine_facts
from .measurement import Report, Result


def as_json(report: Report, *, seconds: float, cores_awake: bool) -> dict[str, Any]:
    """Return the machine and every result, in the format that README.md describes."""
    return {
        "machine": machine_facts(seconds=seconds, cores_awake=cores_awake),
        "results": {
            result.benchmark.name: {
                "ops_per_s": result.median,
                "rounds": result.rounds,
                "p50_ms": result.percentile_ms(50),
                "p95_ms": result.percentile_ms(95),
            }
            for result in report.results
        },
    }


def as_table(report: Report, *, cores_awake: bool) -> str:
    """Return one line per benchmark, one for each that could not run, and how cores idled."""
    heading = ["name", "ops/s median", "best", "spread", "p50 ms", "p95 ms"]
    rows = [heading, *map(_row, report.results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([name.ljust(widths[0]), *map(str.rjust, figures, widths[1:])]).rstrip()
        for name, *figures in rows
    ]
    lines += [f"{name}: not run, {reason}" for name, reason in report.unavailable.items()]
    lines.append(
        "Idle cores were kept awake."
        if cores_awake
        else "Idle cores could sleep: one task that waits for a server also waits for them to wake."
    )
    return "\n".join(lines)


def _row(result: Result) -> list[str]:
    return [
        result.benchmark.name,
        f"{result.median:,.0f}",
        f"{max(result.rounds):,.0f}",
        f"{result.spread:.0%}",
        *(_milliseconds(result.percentile_ms(percent)) for percent in (50, 95)),
    ]


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
