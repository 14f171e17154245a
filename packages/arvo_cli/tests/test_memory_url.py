"""Machine memories that other packages bring along."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import tally

from arvo_cli._backend._memory_url import read_only_memory
from arvo_core import ArvoOrchestratorEventFactory

TOY = """
from contextlib import asynccontextmanager
from arvo_event_handler import SimpleMachineMemory

class Slow(SimpleMachineMemory):

    def __init__(self, call):
        super().__init__()
        setattr(self, call, self.time_out)

    async def time_out(self, *arguments):
        raise TimeoutError

stores = {}
closed = []

@asynccontextmanager
async def connect(url):
    if "down" in url:
        raise ConnectionError("nobody answers\\nat all")
    if "loose" in url:
        raise ConnectionError(f"cannot reach {url}")
    if "slow" in url:
        raise TimeoutError
    if "mute" in url:
        yield Slow(url.rpartition("-")[2])
        return
    yield stores.setdefault(url, SimpleMachineMemory())
    closed.append(url)

def picky(url):
    raise ValueError("there is no such option")
"""
ENTRY_POINTS = """
[arvo.machine_memory]
toy = toy_memory:connect
picky = toy_memory:picky
broken = toy_memory:no_such_name
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with memories of its own."""
    site = tmp_path / "site"
    info = site / "toy_memory-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toy_memory.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-memory\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "toy_memory", raising=False)


@pytest.fixture
def run(
    arvo: Any, targets: Path, jsonl: Callable[[Iterable[object]], Path]
) -> Callable[[str], Any]:
    factory = ArvoOrchestratorEventFactory(tally.tally.version(tally.TALLY_V1))
    event = factory.init(source="com.test.main", data=tally.Word(word="tea"), id="one")
    path = jsonl([event.to_json()])
    return lambda url: arvo("run", targets / "tally", "--events", path, "--memory", url)


def test_the_default_memory_forgets_between_runs(run: Any) -> None:
    tally.calls.clear()
    first, second = run("memory:"), run("memory:")
    assert (first.status, second.status) == (0, 0)
    assert tally.calls == ["tea", "tea"]


@pytest.mark.usefixtures("toy")
def test_run_over_a_lasting_memory_gives_the_earlier_answers(run: Any) -> None:
    tally.calls.clear()
    first, second = run("toy://store/a"), run("toy://store/a")
    assert tally.calls == ["tea"]
    assert [answer.to_dict() for answer in first.answers] == [
        answer.to_dict() for answer in second.answers
    ]
    assert sys.modules["toy_memory"].closed == ["toy://store/a"] * 2


def test_the_default_memory_accepts_a_policy(run: Any) -> None:
    assert run("memory:?ttl=5s&max_wait=1s").status == 0


@pytest.mark.usefixtures("toy")
def test_plain_payloads_resume_too(
    arvo: Any, targets: Path, jsonl: Callable[[Iterable[object]], Path]
) -> None:
    tally.calls.clear()
    path = jsonl([{"word": "tea"}, {"word": "tea"}, {"word": "milk"}])
    command = (
        "run", targets / "tally", "--events", path, "--contract", "#/test/tally/1.0.0",
        "--memory", "toy://store/b",
    )  # fmt: skip
    first, second = arvo(*command), arvo(*command)
    assert sorted(tally.calls) == ["milk", "tea", "tea"]
    assert {answer.id for answer in first.answers} == {answer.id for answer in second.answers}
    assert len(second.answers) == 3


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("lock", "the machine memory could not acquire the workflow: TimeoutError"),
        ("read", "the machine memory could not be read: TimeoutError"),
        ("write", "the machine memory could not store the workflow's record: TimeoutError"),
    ],
)
def test_memory_error_without_message_is_reported_by_its_class(
    run: Any, call: str, reason: str
) -> None:
    done = run(f"toy://mute-{call}")
    assert done.status == 3
    assert f"{reason}\n" in done.err


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("state.db", "--memory takes a URL, such as memory:; installed: broken:, memory:, "),
        ("memory:state", "cannot open the memory memory: `memory:` takes only options, no name"),
        ("memory:?ttl=5", "cannot open the memory memory: the option ttl must be a number with"),
        ("7:x", "--memory takes a URL, such as memory:; installed: broken:, memory:, "),
        ("toy://ann:secret@loose", "cannot open the toy memory: cannot reach toy://ann:***@loose"),
        ("toy://ann:se%63ret@loose", "cannot reach toy://ann:***@loose"),
        ("toy://slow", "cannot open the toy memory: TimeoutError\n"),
        ("toy://ann:secret@down", "cannot open the toy memory: nobody answers: at all"),
        ("picky:x", "cannot open the picky memory: there is no such option"),
        ("broken:x", "cannot open the broken memory: "),
        (
            "unheard://of",
            "no installed package has a machine memory for unheard: (installed: broken:, memory:, ",
        ),
    ],
)
def test_memory_that_cannot_be_opened_is_one_clear_line(run: Any, url: str, reason: str) -> None:
    done = run(url)
    assert done.status == 2
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert "secret" not in done.err


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        ("sqlite", "arvo-memory-sqlite"),
        ("redis", "arvo-memory-redis"),
        ("postgres", "arvo-memory-postgres"),
        ("postgresql", "arvo-memory-postgres"),
    ],
)
def test_known_schemes_name_their_package(
    run: Any, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    # Hides installed memories: metadata is looked up on the path, and this path has none.
    monkeypatch.setattr(sys, "path", [str(Path(tally.__file__).parent.parent)])
    done = run(f"{scheme}://state")
    assert done.err == (
        f"arvo: no installed package has a machine memory for {scheme}: (installed: none); "
        f"install a package that registers it, such as {package}\n"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///state.db", "sqlite:///state.db?read_only=true"),
        ("SQLite:///state.db?", "SQLite:///state.db?read_only=true"),
        ("postgresql://h/d?schema=s", "postgresql://h/d?schema=s&read_only=true"),
        ("sqlite:///state.db?ttl=1s&read_only=false", "sqlite:///state.db?ttl=1s&read_only=false"),
        ("redis://h/0?prefix=p", "redis://h/0?prefix=p&read_only=true"),
        ("unix:///run/r.sock?db=0", "unix:///run/r.sock?db=0&read_only=true"),
        ("toy:x", "toy:x"),
    ],
)
def test_a_url_is_made_read_only_where_its_memory_has_the_option(url: str, expected: str) -> None:
    assert read_only_memory(url) == expected
