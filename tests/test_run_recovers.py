"""`arvo run` over a durable memory goes on with what an earlier process left unfinished."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

TARGET = '''
import os
import signal
from pathlib import Path

from pydantic import BaseModel
from arvo_core import (
    ArvoOrchestratorContract, OrchestratorVersion, SimpleArvoContract, SimpleVersion,
)
from arvo_event_handler import ArvoEventHandler, ArvoResumable, Complete, Emit, Start, Step


class Word(BaseModel):
    word: str


class Letters(BaseModel):
    letters: int


COUNT_V1 = SimpleVersion("1.0.0", accepts=Word, emits=Letters)
count = SimpleArvoContract(uri="#/kill/count", type="word.count", versions=[COUNT_V1])
TALLY_V1 = OrchestratorVersion("1.0.0", init=Word, complete=Letters)
tally = ArvoOrchestratorContract(uri="#/kill/tally", name="tally", versions=[TALLY_V1])
commits = 0


class Mortal(ArvoResumable):
    """Dies between a commit that asks for something and the publication of it."""

    async def execute(self, event, **options):
        global commits
        outputs = await super().execute(event, **options)
        asks = any(output.type == count.type for output in outputs)
        commits += asks
        if asks and commits == int(os.environ.get("COMMITS", "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        return outputs


async def count_v1(call):
    with Path("counted.txt").open("a") as counted:
        counted.write(f"{call.event.id}\\n")
    return Emit("evt.word.count.success", Letters(letters=len(call.data.word)))


async def tally_v1(call):
    """Count twice, one after the other."""
    if isinstance(call, Start):
        return Step(context={"asked": 1}, services=[Emit(count.type, call.data)])
    if call.context["asked"] == 1:
        word = Word(word="x" * call.data.letters)
        return Step(context={"asked": 2}, services=[Emit(count.type, word)])
    return Step(output=Complete(Letters(letters=call.data.letters)))


def create_handlers(memory):
    return [
        ArvoEventHandler(contract=count, handler={"1.0.0": count_v1}),
        Mortal(
            contract=tally,
            services=[count.version(COUNT_V1)],
            memory=memory,
            handler={"1.0.0": tally_v1},
        ),
    ]
'''
WORDS = [f"word{'x' * number}" for number in range(30)]
MEMORY = "sqlite:///state.db?ttl=1s&max_hold=1s&max_wait=100ms"
"""Short leases: the next run need not wait long for those of the killed one."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mortal").mkdir()
    (tmp_path / "mortal" / "__init__.py").write_text(TARGET)
    (tmp_path / "all.jsonl").write_text("".join(f'{{"word": "{word}"}}\n' for word in WORDS))
    (tmp_path / "none.jsonl").write_text("")
    return tmp_path


def start(folder: Path, events: str, *options: str, commits: int = 0) -> subprocess.Popen[str]:
    program = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
    arguments: Sequence[str] = (
        *(sys.executable, "-c", program, "run", "mortal", "--events", events),
        *("--contract", "#/kill/tally/1.0.0", "--memory", MEMORY, "--concurrency", "8"),
        *options,
    )
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env={**os.environ, "COMMITS": str(commits)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def statuses(folder: Path) -> Counter[str]:
    connection = sqlite3.connect(folder / "state.db")
    try:
        # Those that were leased and never written have not begun.
        written = connection.execute("SELECT status FROM machine WHERE version > 0")
        return Counter(status for (status,) in written)
    finally:
        connection.close()


def kill_amid(folder: Path) -> Counter[str]:
    """Leave workflows unfinished, and return how many stand how."""
    for commits in (1, 25):  # of which the second kill hits the workflows that go on too
        process = start(folder, "all.jsonl", commits=commits)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    begun = statuses(folder)
    assert begun["active"] >= 1
    return begun


def asked_by(out: str) -> list[str]:
    """The ids of the events whose final events were written."""
    results = [json.loads(line) for line in out.splitlines()]
    assert {result["type"] for result in results} <= {"arvo.orc.tally.done"}
    return [result["parentid"] for result in results]


@pytest.mark.alone
def test_killed_between_commit_and_publication_the_next_run_finishes_every_workflow(
    folder: Path,
) -> None:
    begun = kill_amid(folder)

    process = start(folder, "none.jsonl")
    out, err = process.communicate()
    assert process.returncode == 0, err
    gone_on = asked_by(out)
    assert len(gone_on) == len(set(gone_on)) == begun["active"]
    said = " ".join(err.split())
    assert re.search(rf"\b{begun['active']} final events? of no line (is|are) among the", said)
    assert re.search(rf"^{begun['active']} workflows? of an earlier run go(es)? on", err, re.M)
    assert statuses(folder) == Counter(done=begun.total())

    process = start(folder, "all.jsonl")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "of an earlier run" not in err
    assert len(set(asked_by(out))) == len(out.splitlines()) == len(WORDS)
    assert set(gone_on) < set(asked_by(out))
    assert statuses(folder) == Counter(done=len(WORDS))
    counted = Counter((folder / "counted.txt").read_text().split())
    # A service runs at least once; only what the killed runs were at is asked for again.
    assert len(counted) == 2 * len(WORDS)


@pytest.mark.alone
def test_a_final_event_is_written_once_also_if_its_line_comes_later(folder: Path) -> None:
    begun = kill_amid(folder)
    process = start(folder, "-")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write('{"word": "tea"}\n')
    process.stdin.flush()
    early = "".join(process.stdout.readline() for _ in range(begun["active"] + 1))
    out, err = process.communicate((folder / "all.jsonl").read_text())
    assert process.returncode == 0, err
    asked = asked_by(early + out)
    assert len(asked) == len(set(asked)) == len(WORDS) + 1
    # And all have lines.
    assert re.search(rf"^{begun['active']} workflows? of an earlier run went on$", err, re.M)


@pytest.mark.alone
def test_what_an_unreadable_input_keeps_from_being_written_is_said(folder: Path) -> None:
    begun = kill_amid(folder)
    (folder / "foreign.jsonl").write_text("\ufeffnot UTF-8", "utf-16")
    process = start(folder, "foreign.jsonl")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    said = "not written, as the input could not be read: the final event arvo.orc.tally.done "
    assert err.count(said) == begun["active"]
    assert statuses(folder) == Counter(done=begun.total())


@pytest.mark.alone
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_final_event_that_cannot_be_written_fails_the_run(folder: Path) -> None:
    begun = kill_amid(folder)
    process = start(folder, "none.jsonl", "--out", "/dev/full")
    _, err = process.communicate()
    assert process.returncode == 1
    assert "cannot write /dev/full" in err
    assert statuses(folder) == Counter(done=begun.total())


@pytest.mark.alone
def test_a_second_run_over_the_same_memory_is_refused_by_name(folder: Path) -> None:
    first = start(folder, "-")
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.write('{"word": "tea"}\n')
    first.stdin.flush()
    assert '"letters":3' in first.stdout.readline().replace(" ", "")  # so it holds the memory

    second = start(folder, "all.jsonl")
    _, err = second.communicate()
    assert second.returncode == 2
    assert "mortal may still run in another process" in err
    assert "mortal runs in another process over this memory; wait for its end" in err

    first.communicate()
    assert first.returncode == 0
    third = start(folder, "all.jsonl")
    out, err = third.communicate()
    assert third.returncode == 0, err
    assert "another process" not in err
    assert len(out.splitlines()) == len(WORDS)
