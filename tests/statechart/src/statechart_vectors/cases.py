"""Finds and reads the cases."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arvo_statechart.typing import XStateVersion

_REPOSITORY = Path(__file__).parents[4]
_COMMITTED = _REPOSITORY / "tests" / "vectors" / "statechart"
_BESIDE = _REPOSITORY.parent / "shared" / "vectors" / "statechart"

VERSIONS: dict[str, tuple[XStateVersion, ...]] = {
    "handwritten.json": ("5.24",),
    "fuzz.json": ("5.24",),
    "scxml.json": ("5.24",),
    "xstate-5.33.json": ("5.33", "5.24"),
    "after.json": ("5.33", "5.24"),
}
"""The versions of XState whose behaviour the cases of each file describe."""
FILES = tuple(VERSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One machine, its events, and what it does at each of them in one version of XState."""

    name: str
    xstate: XStateVersion
    content: dict[str, Any]

    @property
    def ours(self) -> str:
        """How we differ from XState on purpose; empty if we do not."""
        return str(self.content.get("ours", ""))

    def expected(self, *, resumed: bool) -> list[dict[str, Any]]:
        """Return the expected steps; `resumed` if the machine is stored between events."""
        # Where 5.24.0 is not listed separately, it does the same.
        version = "_5.24.0" if self.xstate == "5.24" and "expected_5.24.0" in self.content else ""
        # Setting a timer whose id is pending replaces it; in XState it does not.
        names = ("replaced_resumed", "replaced", "resumed") if resumed else ("replaced",)
        listed = (f"expected_{name}{version}" for name in names)
        # None where this version, other than the current one, does the same as without them.
        given = (name for name in listed if self.content.get(name) is not None)
        found = next(given, f"expected{version}")
        steps: list[dict[str, Any]] = self.content[found]
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
    """Return the cases of a file; empty if there is no such file."""
    source = source_of(file)
    if source is None:
        return []
    content = json.loads(source.read_text("utf-8"))
    listed = content["cases"] if isinstance(content, dict) else content
    return [
        Case(name=content["name"], xstate=xstate, content=content)
        for content in listed
        for xstate in VERSIONS[file]
    ]
