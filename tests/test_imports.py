"""What importing a package loads: what it needs at once, and nothing for later.

Seconds are not asserted, as machines differ; CONTRIBUTING.md says how to measure them.
"""

import subprocess
import sys
from collections.abc import Set as AbstractSet
from typing import Final

import pytest

from workspace import dependencies, with_what_is_below

BELOW: Final = dependencies()

# Heavy modules, and those that tell of a mistake, such as a driver of another package.
UNWANTED: Final = {
    *("argparse", "asyncio", "ctypes", "http", "multiprocessing", "sqlite3", "ssl", "unittest"),
    *("asyncpg", "hiredis", "redis"),
    *("hypothesis", "opentelemetry.sdk", "pytest", "rich", "typer"),
}
# Which of them a package needs at once, for itself and for the packages above it.
NEEDED: Final = {
    "arvo_event_handler": {"asyncio", "ssl"},  # asyncio imports ssl
    "arvo_postgres": {"asyncpg", "asyncio", "ssl"},
    # redis-py imports all but itself and hiredis.
    "arvo_redis": {"redis", "hiredis", "asyncio", "ssl", "ctypes", "opentelemetry.sdk"},
    "arvo_sqlite": {"asyncio", "ssl", "sqlite3"},
}
# How many modules an import may load, those of Python and of others included: a tenth more than it
# does. Before a number grows, look at what came: python -X importtime -c 'import arvo_core'.
AT_MOST: Final = {
    "arvo_cli": 35,
    "arvo_core": 275,
    "arvo_event_handler": 440,
    "arvo_statechart": 115,
}


def loaded_by(package: str) -> AbstractSet[str]:
    code = f"import sys; before = {{*sys.modules}}; import {package}; print(*{{*sys.modules}} - before)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return {*done.stdout.split()}


@pytest.mark.parametrize("package", BELOW)
def test_nothing_is_imported_that_is_not_needed_at_once(package: str) -> None:
    if package == "arvo_cli":  # imports what it works with when it is called
        needed: set[str] = set()
    else:
        parts = with_what_is_below([package], BELOW)
        needed = {module for part in parts for module in NEEDED.get(part, ())}
    assert loaded_by(package) & UNWANTED <= needed


@pytest.mark.parametrize("package", AT_MOST)
def test_no_more_modules_are_imported_than_before(package: str) -> None:
    assert len(loaded_by(package)) <= AT_MOST[package]
