import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings
from typing_extensions import override

pytest.register_assert_rewrite(
    "arvo_event_handler.testing", "arvo_event_store.testing", "arvo_transport.testing"
)

# A slow machine is not a failure, so neither deadlines nor the health check of data generation.
settings.register_profile(
    "quick",
    max_examples=100,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("full", settings.get_profile("quick"), max_examples=1_000)
settings.register_profile("few", settings.get_profile("quick"), max_examples=10)
settings.load_profile("full" if os.environ.get("ARVO_FULL") == "1" else "quick")

# The tests' servers have no TLS. Asking for it first, as it does by default, asyncpg leaves an
# exception to the event loop when a connection is lost at that moment, as while a query is cancelled.
os.environ.setdefault("PGSSLMODE", "disable")


def _is_about_slowness(record: logging.LogRecord) -> bool:
    return str(record.msg).startswith("Executing ")


# In debug mode asyncio logs each step above 100 ms, among what tests expect to be logged.
logging.getLogger("asyncio").addFilter(lambda record: not _is_about_slowness(record))


class CheckingLoop(asyncio.SelectorEventLoop):
    """The checks of asyncio's debug mode, without a traceback for every future and callback.

    They only say in logs where something was made, and take most of the time of an async test.
    """

    @override
    def get_debug(self) -> bool:
        return False


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"debug": True, "loop_factory": CheckingLoop}


def pytest_collection() -> None:
    """Measure the coverage of this process and its workers, already started, and of no others."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save the coverage of a worker before it says that it is done.

    The process that hands out tests kills a worker that then takes more than ten seconds to exit,
    which would lose what coverage saves at exit.
    """
    if hasattr(session.config, "workerinput") and "coverage" in sys.modules:
        measured = sys.modules["coverage"].Coverage.current()
        if measured is not None:
            measured.stop()
            measured.save()


# --- the vectors, summed up here as workers of pytest-xdist have no terminal --------------------

_OUTCOMES = {"passed": "passed", "failed": "failed", "error": "failed", "skipped": "skipped"}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, object, object]:
    """Print last, for each area, how many vectors passed, failed and were skipped."""
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


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare(
    left: object, right: object
) -> Generator[None, list[list[str]], list[list[str]]]:
    """Let pytest show large values in short, as it does outside of CI.

    Line by line their comparison may take half a minute, and tests with broken memories, stores and
    transports let many fail.
    """
    with pytest.MonkeyPatch.context() as patch:
        if len(repr(left)) + len(repr(right)) > 2_000:
            patch.delenv("CI", raising=False)
        return (yield)
