"""Where the cases come from."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[4]
_COMMITTED = _REPOSITORY / "tests" / "vectors" / "statechart"
_BESIDE = _REPOSITORY.parent / "shared" / "vectors" / "statechart"
FILES = ("handwritten.json", "fuzz.json", "scxml.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One machine, the events it gets, and what it does about each."""

    name: str
    content: dict[str, Any]

    def expected(self, *, resumed: bool) -> list[dict[str, Any]]:
        """Return the expected steps, of a machine that is stored between events or is not."""
        changed = resumed and "expected_resumed" in self.content
        steps: list[dict[str, Any]] = self.content["expected_resumed" if changed else "expected"]
        return steps


def source_of(file: str) -> Path | None:
    """Return where a file is: in the folder that `ARVO_STATECHART_VECTORS` names or in ours.

    The cases derived from the W3C's test suite are not part of the repository.
    """
    folders = [_COMMITTED, _BESIDE] if file == "scxml.json" else [_COMMITTED]
    if "ARVO_STATECHART_VECTORS" in os.environ:
        folders = [Path(os.environ["ARVO_STATECHART_VECTORS"]).resolve()]
    return next((folder / file for folder in folders if (folder / file).is_file()), None)


def load(file: str) -> list[Case]:
    """Return the cases of a file, none if it is nowhere."""
    source = source_of(file)
    if source is None:
        return []
    return [
        Case(name=content["name"], content=content)
        for content in json.loads(source.read_text("utf-8"))
    ]
