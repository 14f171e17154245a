import importlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from arvo_cli import main
from arvo_core import ArvoEvent
from arvo_transport import InMemoryEngine

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


TOY_URL = "toy://me:s3cret@host/0"
"""The URL of `engine`; no message may show its password."""
TOY = """
from contextlib import asynccontextmanager

from arvo_transport import InMemoryEngine, InMemoryTransport, TransportError

ENGINE = InMemoryEngine(partitions=4)


class Toy(InMemoryTransport):
    async def declare(self, topics):
        topics = list(topics)
        if any(len(topic.name) > 200 for topic in topics):
            raise ValueError("the topic's name is too long")
        await super().declare(topics)

    async def publish(self, events, *, at=None, again=""):
        if any(event.id == "taboo" for event in events):
            raise ValueError("the id 'taboo' is reserved")
        await super().publish(events, at=at, again=again)


class Failing(Toy):
    calls = 0

    async def publish(self, events, *, at=None, again=""):
        raise TransportError("the line to s3cret is dead", retryable=False, outcome="unknown")

    async def redrive(self, keys, *, force=False):
        self.calls += 1
        if self.calls > 1:
            raise TransportError("the line to s3cret is dead", retryable=True, outcome="unknown")
        return await super().redrive(keys, force=force)


@asynccontextmanager
async def connect(url):
    if "away" in url:
        raise TransportError(f"nobody answers at {url}", retryable=True, outcome="failed")
    if "locked" in url:
        raise TransportError(f"wrong password in {url}", retryable=False, outcome="failed")
    if "odd" in url:
        raise ValueError(f"unknown option in {url}")
    transport = (Failing if "failing" in url else Toy)(ENGINE)
    try:
        yield transport
    finally:
        await transport.aclose()
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InMemoryEngine:
    """An engine that outlives each command: an installed package has a transport to it."""
    site = tmp_path / "site"
    info = site / "toy_transport-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toy_transport.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-transport\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[arvo.event_transport]\ntoy = toy_transport:connect\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "toy_transport", raising=False)
    monkeypatch.setenv("ARVO_TRANSPORT", TOY_URL)
    found: InMemoryEngine = importlib.import_module("toy_transport").ENGINE
    return found
