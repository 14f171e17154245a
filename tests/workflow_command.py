"""`arvo workflow` and `arvo run`, called in this process over the memory of a test."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from arvo_cli import main

TARGETS = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets"
if str(TARGETS) not in sys.path:
    sys.path.insert(0, str(TARGETS))  # the command does the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Exit status and output of one call of the command."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def row(self) -> dict[str, Any]:
        [row] = self.rows
        return row


Call = Callable[..., Said]


@pytest.fixture
def arvo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command; the transport of the environment is none."""
    monkeypatch.delenv("ARVO_TRANSPORT", raising=False)

    def call(*words: object) -> Said:
        capsys.readouterr()
        status = main([*map(str, words)])
        captured = capsys.readouterr()
        return Said(status=status, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def run(arvo: Call, tmp_path: Path) -> Call:
    """Run payloads through the workflow of a target: its name, the payloads, and options."""

    def call(
        name: str,
        *payloads: dict[str, object],
        options: tuple[object, ...] = (),
        contract: str | None = None,
    ) -> Said:
        lines = tmp_path / f"{name}.jsonl"
        lines.write_text("".join(f"{json.dumps(payload)}\n" for payload in payloads))
        given = contract or f"#/test/{name}/1.0.0"
        return arvo("run", TARGETS / name, "--events", lines, "--contract", given, *options)

    return call


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a SQLite file, which the environment has as well."""
    url = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv("ARVO_MEMORY", url)
    return url


def key(arvo: Call, *options: object) -> str:
    """Return the key of the one workflow that a listing with these options has."""
    found: str = arvo("workflow", "list", "--json", *options).row["key"]
    return found
