import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from arvo_cli import main
from arvo_core import ArvoEvent

TARGETS = Path(__file__).parent / "targets"
# The command does the same; the tests import the same modules.
sys.path.insert(0, str(TARGETS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Exit status and output of one call of the command."""

    status: int
    out: str
    err: str

    @property
    def answers(self) -> list[ArvoEvent]:
        return [ArvoEvent.from_json(line) for line in self.out.split("\n")[:-1]]

    @property
    def data(self) -> list[dict[str, Any]]:
        return [answer.data for answer in self.answers]


Arvo = Callable[..., Outcome]


@pytest.fixture
def targets() -> Path:
    return TARGETS


@pytest.fixture
def arvo(capsys: pytest.CaptureFixture[str]) -> Arvo:
    """Call the command in this process."""

    def call(*arguments: object) -> Outcome:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(status=status, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[[Iterable[object]], Path]:
    """Write lines to a file: strings as they are, everything else as JSON."""

    def write(lines: Iterable[object], name: str = "events.jsonl") -> Path:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path = tmp_path / name
        path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
        return path

    return write


@pytest.fixture
def greet(arvo: Arvo, targets: Path, jsonl: Callable[[Iterable[object]], Path]) -> Arvo:
    """Run the greeter over plain payloads: names, or whole lines."""

    def call(*lines: object, options: Iterable[object] = ()) -> Outcome:
        payloads = [{"name": line} if isinstance(line, str) else line for line in lines]
        return arvo(
            "run", targets / "greeter", "--events", jsonl(payloads),
            "--contract", "#/test/greet/1.0.0", *options,
        )  # fmt: skip

    return call
