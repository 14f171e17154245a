"""The cases of a folder of vectors, and which of them do not apply to Python."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .deviations import deviations
from .values import has_foreign_value, with_numbers

_COMMITTED = Path(__file__).parents[3] / "vectors"
_JAVASCRIPT_ERRORS = {"string", "number", "object", "messageObject", "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case of one area."""

    area: str
    name: str
    input: Any
    expected: Any
    skipped: str | None
    """Why there is nothing to check; None for most cases."""

    @property
    def id(self) -> str:
        """The name of the case in reports and in `deviations.toml`."""
        return f"{self.area}::{self.name}"


def vectors_folder() -> Path:
    """Return the folder that `ARVO_VECTORS` names, or the committed one."""
    return Path(os.environ.get("ARVO_VECTORS", _COMMITTED)).resolve()


def load_cases(folder: Path) -> list[Case]:
    """Read the cases of every area that has an adapter.

    Raises:
        FileNotFoundError: The folder holds no vectors.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"no vectors (*.json) in {folder}")
    return [case for file in files if _has_adapter(file.stem) for case in _cases(file)]


def _has_adapter(area: str) -> bool:
    return area.isidentifier() and find_spec(f"conformance.areas.{area}") is not None


def _cases(file: Path) -> Iterator[Case]:
    known = deviations()
    for item in json.loads(file.read_text("utf-8"))["cases"]:
        skipped = _without_counterpart(item) or known.get(f"{file.stem}::{item['name']}")
        content = item if skipped else with_numbers(item)
        yield Case(
            area=file.stem,
            name=item["name"],
            input=content["input"],
            expected=content["expected"],
            skipped=skipped,
        )


def _without_counterpart(item: Mapping[str, Any]) -> str | None:
    if "bug" in item:
        return "documented weakness"
    if has_foreign_value([item["input"], item["expected"]]) or _throws_no_error(item["input"]):
        return "JavaScript only"
    if _has_member(item["input"], "setupExtra"):
        return "no counterpart"
    return None


def _throws_no_error(value: object) -> bool:
    if isinstance(value, Mapping):
        thrown = value.get("throw")
        if isinstance(thrown, Mapping) and thrown.get("kind") in _JAVASCRIPT_ERRORS:
            return True
        return any(map(_throws_no_error, value.values()))
    return isinstance(value, list) and any(map(_throws_no_error, value))


def _has_member(value: object, name: str) -> bool:
    if isinstance(value, Mapping):
        return name in value or any(_has_member(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_has_member(inner, name) for inner in value)
