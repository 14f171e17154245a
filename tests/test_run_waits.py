"""`arvo run` over workflows that wait for time: it says so, stays for them, and goes on later."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .workflow_command import TARGETS, Call, Said, arvo as arvo, run as run

HOUR = 3600
PROGRAM = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def memory(tmp_path: Path) -> tuple[str, str]:
    return ("--memory", f"sqlite:///{tmp_path}/state.db?ttl=1s&max_hold=1s&max_wait=100ms")


def names(said: Said) -> list[str]:
    return sorted(row["data"]["name"] for row in said.rows)


def test_what_waits_is_reported_with_its_time(
    run: Call, memory: tuple[str, str], tmp_path: Path
) -> None:
    rejects = tmp_path / "rejects.jsonl"
    waits = [{"name": "a", "seconds": HOUR}, {"name": "b", "seconds": HOUR}]
    done = run("patient", *waits, options=memory)
    assert (done.status, done.out) == (3, "")
    assert re.search(r"^line 1 waiting until \d{4}-\d\d-\d\d \S+$", done.err, re.M)
    assert "0 results + 0 rejected + 0 failed + 2 waiting = 2 lines read" in done.err
    assert "goes on when the same is run again over this memory" in done.err
    assert run("patient", *waits, options=(*memory, "--rejects", rejects)).status == 3
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 2]
    assert {line["outcome"] for line in lines} == {"waiting"}
    assert all(line["reason"].startswith("waiting until ") for line in lines)


def test_a_memory_that_ends_with_the_command_is_named(run: Call) -> None:
    done = run("patient", {"name": "a", "seconds": HOUR})
    assert done.status == 3
    assert "ends with this command; give a lasting --memory" in done.err


def test_it_stays_for_timers_that_are_due_in_time_and_no_longer(
    run: Call, memory: tuple[str, str]
) -> None:
    waits: list[dict[str, object]] = [
        {"name": "thrice", "seconds": 0.2, "times": 3},
        {"name": "late", "seconds": HOUR},
        *({"name": f"n{number:03}", "seconds": 0.1} for number in range(100)),
    ]
    # More lines wait than run at the same time.
    done = run("patient", *waits, options=(*memory, "--wait", "20s", "--concurrency", "4"))
    assert done.status == 3
    assert names(done) == sorted(["thrice", *(f"n{number:03}" for number in range(100))])
    assert re.findall(r"line (\d+) waiting until ", done.err) == ["2"]
    assert "101 results + 0 rejected + 0 failed + 1 waiting = 102 lines read" in done.err


def test_equal_lines_have_one_answer_each(run: Call, memory: tuple[str, str]) -> None:
    done = run("patient", *[{"name": "a", "seconds": 0.3}] * 2, options=(*memory, "--wait", "9s"))
    assert (done.status, names(done)) == (0, ["a", "a"])
    assert len({row["parentid"] for row in done.rows}) == 2


def test_a_workflow_that_only_its_child_lets_wait(run: Call, memory: tuple[str, str]) -> None:
    waits = [{"name": "a", "seconds": 0.3, "times": 2}, {"name": "b", "seconds": HOUR}]
    options = (*memory, "--wait", "9s")
    done = run("patient", *waits, options=options, contract="#/test/parent/1.0.0")
    assert (done.status, names(done)) == (3, ["parent of a"])
    assert re.findall(r"line (\d+) waiting until ", done.err) == ["2"]


def test_what_was_due_meanwhile_goes_on_without_wait(run: Call, memory: tuple[str, str]) -> None:
    wait = {"name": "a", "seconds": 1}
    first = run("patient", wait, options=memory)
    assert (first.status, first.out) == (3, "")
    due = re.search(r"waiting until", first.err)
    assert due is not None
    deadline = time.monotonic() + 60
    while (again := run("patient", wait, options=memory)).status == 3:
        assert time.monotonic() < deadline
    assert (again.status, names(again)) == (0, ["a"])


def test_a_failure_after_a_timer_is_that_of_the_line(
    run: Call, memory: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATIENT_FAILS_LATER", "a")
    waits = [{"name": "a", "seconds": 0.1}, {"name": "b", "seconds": 0.1}]
    done = run("patient", *waits, options=(*memory, "--wait", "9s"))
    assert done.status == 3
    assert names(done) == ["b"]
    assert re.search(r"^line 1 failed: .*ExecutionViolation.* the line is dead", done.err, re.M)
    assert "1 result + 0 rejected + 1 failed = 2 lines read" in done.err


@pytest.mark.parametrize("text", ["1", "soon", "-1s"])
def test_a_bad_wait_is_refused(run: Call, memory: tuple[str, str], text: str) -> None:
    done = run("patient", {"name": "a", "seconds": 1}, options=(*memory, f"--wait={text}"))
    assert done.status == 2
    assert "--wait takes a duration with its unit" in done.err


def start(folder: Path, memory: tuple[str, str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-c", PROGRAM, "run", str(TARGETS / "patient")),
            *("--events", "patient.jsonl", "--contract", "#/test/patient/1.0.0", *memory, *options),
        ],
        cwd=folder,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begin(folder: Path, memory: tuple[str, str], seconds: float) -> subprocess.Popen[str]:
    """Run until every line waits."""
    lines = [{"name": f"n{number}", "seconds": seconds} for number in range(20)]
    (folder / "patient.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    process = start(folder, memory, "--wait", "50s")
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("20 lines wait for a time, the next until "), said
    return process


@pytest.mark.alone
def test_killed_while_it_waits_it_ends_with_the_same_output(
    tmp_path: Path, memory: tuple[str, str]
) -> None:
    with begin(tmp_path, memory, 6) as process:
        process.send_signal(signal.SIGKILL)
        assert process.communicate()[0] == ""
    with start(tmp_path, memory, "--wait", "60s") as again:
        out, err = again.communicate()
    assert again.returncode == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert sorted(answer["data"]["name"] for answer in answers) == sorted(
        f"n{number}" for number in range(20)
    )
    assert len({answer["id"] for answer in answers}) == 20


@pytest.mark.alone
def test_an_interrupt_ends_the_waiting(tmp_path: Path, memory: tuple[str, str]) -> None:
    with begin(tmp_path, memory, 40) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.count("waiting until ") == 20
    assert "0 results + 0 rejected + 0 failed + 20 waiting = 20 lines read" in err
