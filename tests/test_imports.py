"""The modules that importing a package loads: only those that the import itself needs.

Seconds are not asserted, as machines differ; CONTRIBUTING.md says how to measure them.
"""

import subprocess
import sys
from collections.abc import Set as AbstractSet
from typing import Final

import pytest

from workspace import dependencies, with_what_is_below

BELOW: Final = dependencies(extras=False)

# Expensive modules, and those that point to a mistake, such as a driver of another package.
UNWANTED: Final = {
    *("argparse", "asyncio", "ctypes", "http", "multiprocessing", "sqlite3", "ssl", "unittest"),
    *("asyncpg", "hiredis", "redis"),
    *("hypothesis", "opentelemetry.sdk", "pytest", "rich", "typer"),
}
# Which of them an import of the package needs, for itself and for the packages above it.
NEEDED: Final = {
    "arvo_event_handler": {"asyncio", "ssl"},  # asyncio imports ssl
    "arvo_postgres": {"asyncpg", "asyncio", "ssl"},
    # redis-py imports all of these but itself and hiredis.
    "arvo_redis": {"redis", "hiredis", "asyncio", "ssl", "ctypes", "opentelemetry.sdk"},
    "arvo_sqlite": {"asyncio", "ssl", "sqlite3"},
}
# The most modules that an import may load, including those of Python and of dependencies: a tenth
# more than it does. Before raising one, find the new modules: python -X importtime -c 'import arvo_core'.
AT_MOST: Final = {
    "arvo_cli": 35,
    "arvo_core": 275,
    "arvo_event_handler": 510,
    "arvo_statechart": 115,
}


def loaded_by(package: str) -> AbstractSet[str]:
    code = f"import sys; before = {{*sys.modules}}; import {package}; print(*{{*sys.modules}} - before)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return {*done.stdout.split()}


def test_help_is_shown_before_what_commands_need_is_imported() -> None:
    code = "import sys; from arvo_cli import main; main(['worker', '--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert {"arvo_core", "asyncio"}.isdisjoint(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("package", BELOW)
def test_no_module_is_imported_that_the_import_does_not_need(package: str) -> None:
    if package == "arvo_cli":  # imports its dependencies when it is called
        needed: set[str] = set()
    else:
        parts = with_what_is_below([package], BELOW)
        needed = {module for part in parts for module in NEEDED.get(part, ())}
    assert loaded_by(package) & UNWANTED <= needed


@pytest.mark.parametrize("package", AT_MOST)
def test_number_of_imported_modules_does_not_grow(package: str) -> None:
    assert len(loaded_by(package)) <= AT_MOST[package]
