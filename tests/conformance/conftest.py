import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

# Test files are imported one by one (importlib mode) and cannot see their neighbours.
sys.path.insert(0, str(Path(__file__).parent / "src"))

_OUTCOMES = {"passed": "passed", "failed": "failed", "error": "failed", "skipped": "skipped"}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, object, object]:
    """Say for each area how many vectors passed, failed and were skipped, after all else."""
    result = yield
    counts = _counts(terminalreporter)
    if counts:
        terminalreporter.section("vectors")
    for area in sorted(counts):
        numbers = (f"{counts[area][each]} {each}" for each in ("passed", "failed", "skipped"))
        terminalreporter.write_line(f"{area}: {', '.join(numbers)}")
    return result


def _counts(terminalreporter: pytest.TerminalReporter) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for category, outcome in _OUTCOMES.items():
        for report in terminalreporter.stats.get(category, []):
            area = _area(getattr(report, "nodeid", ""))
            if area is not None:
                counts.setdefault(area, Counter())[outcome] += 1
    return counts


def _area(nodeid: str) -> str | None:
    _, found, case = nodeid.partition("test_vectors.py::test_vector[")
    return case.partition("::")[0] if found else None
