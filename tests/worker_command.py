"""`arvo worker` and the other commands over one transport, as processes and within this one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from real_servers.fixtures import missing

from arvo_cli import main
from arvo_core import ArvoEvent
from real_servers import NatsServer, RedisServer, ServerNotFoundError

_PROGRAM = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"


def until(condition: Callable[[], bool], why: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


@dataclass(slots=True, kw_only=True)
class Site:
    """A namespace of a server, a folder, and the processes of a test that use them."""

    server: RedisServer
    """Keeps the state of workflows, and carries their events unless `nats` does."""
    folder: Path
    nats: NatsServer | None = None
    name: str = field(default_factory=partial(token_hex, 8))
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def transport(self) -> str:
        # A short lease, as a killed worker's events wait for its end.
        if self.nats is not None:
            return f"{self.nats.url}?namespace={self.name}&patience=2s&partitions=16"
        return f"{self.server.url}?namespace={self.name}&lease=2s&partitions=16"

    @property
    def memory(self) -> str:
        return f"{self.server.url}?prefix={self.name}:&ttl=2s"

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start the command in an interpreter of its own, whose messages go to a file."""
        with (self.folder / f"err-{len(self.processes)}").open("w") as messages:
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *map(str, words)],
                cwd=self.folder,
                env={
                    **os.environ,
                    "ARVO_TRANSPORT": self.transport,
                    "ORDER_LEDGER": str(self.folder / "ledger.db"),
                    "SCRIBE_FOLDER": str(self.folder),
                },
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
            )
        self.processes.append(process)
        return process

    def messages(self, process: subprocess.Popen[str]) -> str:
        return (self.folder / f"err-{self.processes.index(process)}").read_text("utf-8")

    def worker(self, target: Path, *options: object) -> subprocess.Popen[str]:
        return self.start("worker", target, *options)

    def until_ready(self, *workers: subprocess.Popen[str]) -> None:
        for worker in workers:
            self.until_says(worker, "  ready ")

    def until_says(self, process: subprocess.Popen[str], text: str) -> None:
        until(lambda: text in self.messages(process) or process.poll() is not None)
        assert text in self.messages(process)

    def begun(self) -> list[int]:
        """Return what the scribe has begun, each as often as it was begun."""
        path = self.folder / "begun"
        return [*map(int, path.read_text().split())] if path.exists() else []

    def end(self) -> None:
        for process in self.processes:
            with process:  # closes its pipe
                process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Exit status and output of one call of the command."""

    status: int
    out: str
    err: str

    @property
    def answers(self) -> list[ArvoEvent]:
        return [ArvoEvent.from_json(line) for line in self.out.splitlines()]


Arvo = Callable[..., Outcome]


def started_redis() -> Iterator[RedisServer]:
    """Start a server; make fixtures called `server` of this."""
    try:
        # A server that is killed comes back with what it held.
        with RedisServer.start(appendfsync="always") as server:
            yield server
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture
def site(server: RedisServer, tmp_path: Path) -> Iterator[Site]:
    """A namespace of the Redis of `server`."""
    site = Site(server=server, folder=tmp_path)
    yield site
    site.end()


@pytest.fixture
def arvo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, site: Site) -> Arvo:
    """Call the command in this process, over the transport of the site."""
    monkeypatch.setenv("ARVO_TRANSPORT", site.transport)
    monkeypatch.setenv("SCRIBE_FOLDER", str(site.folder))
    monkeypatch.setenv("ORDER_LEDGER", str(site.folder / "ledger.db"))

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        status = main([*map(str, words)])
        captured = capsys.readouterr()
        return Outcome(status=status, out=captured.out, err=captured.err)

    return call


def topic(arvo: Arvo, name: str) -> dict[str, Any]:
    """Return what `arvo topics list` shows of a topic."""
    shown = [json.loads(line) for line in arvo("topics", "list", "--json").out.splitlines()]
    return next(each for each in shown if each["topic"] == name)
