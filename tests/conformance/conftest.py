import sys
from collections import Counter
from pathlib import Path

import pytest

# Test files are imported one by one (importlib mode) and cannot see their neighbours.
sys.path.insert(0, str(Path(__file__).parent / "src"))

_OUTCOMES = {"passed": "passed", "failed": "failed", "error": "failed", "skipped": "skipped"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say for each area how many vectors passed, failed and were skipped."""
    counts: dict[str, Counter[str]] = {}
    for category, outcome in _OUTCOMES.items():
        for report in terminalreporter.stats.get(category, []):
            area = _area(getattr(report, "nodeid", ""))
            if area is not None:
                counts.setdefault(area, Counter())[outcome] += 1
    if not counts:
        return
    terminalreporter.section("vectors")
    for area in sorted(counts):
        numbers = ", ".join(
            f"{counts[area][each]} {each}" for each in ("passed", "failed", "skipped")
        )
        terminalreporter.write_line(f"{area}: {numbers}")


def _area(nodeid: str) -> str | None:
    _, found, case = nodeid.partition("test_vectors.py::test_vector[")
    return case.partition("::")[0] if found else None
