"""Every example in a docstring runs and prints what it says."""

import asyncio
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


def public_names(package: str) -> dict[str, object]:
    root = importlib.import_module(package)
    return {name: getattr(root, name) for name in root.__all__}


# Every package speaks in events and contracts, and so do its examples.
GIVEN = (
    {"BaseModel": BaseModel, "asyncio": asyncio}
    | public_names("arvo_core")
    | public_names("arvo_event_handler")
)


def examples(package: str) -> Iterator[doctest.DocTest]:
    """Yield the examples; they see their module, their package's public names and `GIVEN`."""
    root = importlib.import_module(package)
    public = GIVEN | public_names(package)
    below = pkgutil.walk_packages(root.__path__, f"{package}.")
    for name in (package, *(module.name for module in below)):
        module = importlib.import_module(name)
        for found in doctest.DocTestFinder().find(module, extraglobs=public):
            if found.examples:
                yield found


@pytest.mark.parametrize(
    "example",
    [example for package in PACKAGES for example in examples(package)],
    ids=lambda example: example.name,
)
def test_example_prints_what_it_says(example: doctest.DocTest) -> None:
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert result.failed == 0, "".join(report)
