"""Ctrl-C: what runs is finished, what was not started is reported, nothing is lost silently."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arvo_core import ArvoEvent


@pytest.fixture(autouse=True)
def _hears_interrupts() -> Iterator[None]:
    """A shell that starts the tests in the background makes them and their children ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["interrupt", "terminate"])
def test_the_first_one_stops_taking_input_and_finishes_what_runs(greet: Any, name: str) -> None:
    done = greet("ada", name, "ben", "cara", options=["--concurrency", 1])
    assert done.status == 130
    assert [item["text"] for item in done.data] == ["hello ada", f"hello {name}"]
    assert "interrupted: no more input is taken, what runs (1) is finished" in done.err
    assert "2 results + 0 rejected + 0 failed + 2 not started = 4 lines read" in done.err
    assert "not started: 2 lines after line 2" in done.err


def test_the_second_one_cancels(greet: Any) -> None:
    done = greet("ada", "stubborn", "", "ben", options=["--concurrency", 1])
    assert done.status == 130
    assert "cancelling what runs (1); interrupt again to end immediately" in done.err
    assert "line 2 failed: cancelled" in done.err
    assert "1 result + 0 rejected + 1 failed + 2 not started = 4 lines read" in done.err


def test_lines_cancelled_before_they_began_are_reported(greet: Any) -> None:
    done = greet("stubborn", "ada", "ben")
    assert done.status == 130
    failed = [line for line in done.err.splitlines() if line.startswith("line ")]
    assert any(line.startswith("line 1 failed: ") for line in failed)
    assert f"{len(done.data)} results + 0 rejected + {len(failed)} failed" in done.err
    assert "= 3 lines read" in done.err


def test_interrupt_at_the_end_of_the_input_leaves_nothing_unstarted(greet: Any) -> None:
    done = greet("interrupt")
    assert done.status == 130
    assert "1 result + 0 rejected + 0 failed = 1 line read" in done.err
    assert "not started" not in done.err


def test_signal_handlers_are_restored_afterwards(greet: Any) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        greet("ada")
        signal.raise_signal(signal.SIGTERM)
        greet("stubborn")
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM, signal.SIGTERM]


class TestRealProcess:
    def test_an_interrupt_at_any_line_counts_and_leaves_no_output_half_begun(
        self, targets: Path, tmp_path: Path
    ) -> None:
        """The input is empty, so an interrupt that is lost ends with status 0."""
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("signalled_lines.py"), tmp_path,
             "run", targets / "greeter", "--events", os.devnull, "--contract", "#/test/greet/1.0.0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        *_, rest = done.stdout.partition(b"{")
        ends = [json.loads(line) for line in (b"{" + rest).splitlines()]
        assert [end["place"] for end in ends if end["status"] != 130] == []
        untouched, begun = ("of an earlier run", None), ("", "")
        outputs = [(end["out"], end["rejects"]) for end in ends]
        assert outputs == sorted(outputs, key=[untouched, begun].index)
        assert {untouched, begun} == set(outputs)
        # Of each signal, before the outputs are opened, while they are, and after.
        for name in ("SIGINT", "SIGTERM"):
            for file in ("_job", "_signals", "_output", "_interrupt", "_intake", "_run"):
                assert any(end["place"].startswith(f"{name} at {file}.py") for end in ends)

    @pytest.fixture
    def gate(self, tmp_path: Path, targets: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A run of one line at a time; each waits for the test at the pipes `begun` and `go`."""
        os.mkfifo(tmp_path / "begun")
        os.mkfifo(tmp_path / "go")
        events = tmp_path / "events.jsonl"
        events.write_text("".join(f'{{"number": {number}}}\n' for number in range(1, 6)))
        pipes = {"GATE_BEGUN": str(tmp_path / "begun"), "GATE_GO": str(tmp_path / "go")}
        with subprocess.Popen(
            [Path(sys.executable).parent / "arvo", "run", targets / "gate", "--events", events,
             "--contract", "#/test/gate/1.0.0", "--concurrency", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | pipes,
        ) as process:  # fmt: skip
            yield process
            process.kill()

    def test_ctrl_c_finishes_what_runs(self, gate: subprocess.Popen[bytes], tmp_path: Path) -> None:
        assert gate.stdout is not None
        assert gate.stderr is not None
        assert (tmp_path / "begun").read_text() == "begun"
        (tmp_path / "go").write_text("go")
        assert (tmp_path / "begun").read_text() == "begun"
        gate.send_signal(signal.SIGINT)
        assert gate.stderr.readline().startswith(b"interrupted: no more input is taken")
        (tmp_path / "go").write_text("go")
        out, err = gate.communicate()
        answers = [ArvoEvent.from_json(line) for line in out.splitlines()]
        assert [answer.data for answer in answers] == [{"number": 1}, {"number": 2}]
        assert b"not started: 3 lines after line 2" in err
        assert b"2 results + 0 rejected + 0 failed + 3 not started = 5 lines read" in err
        assert gate.returncode == 130

    @pytest.mark.parametrize("name", ["immovable", "busy"])
    def test_the_third_one_ends_the_process_whatever_runs(
        self, targets: Path, tmp_path: Path, name: str
    ) -> None:
        events = tmp_path / "events.jsonl"
        events.write_text(f'{{"name": "ada"}}\n{{"name": "{name}"}}\n{{"name": "ben"}}\n')
        done = subprocess.run(
            [Path(sys.executable).parent / "arvo", "run", targets / "greeter", "--events", events,
             "--contract", "#/test/greet/1.0.0", "--concurrency", "1"],
            capture_output=True, check=False, timeout=60,  # or a failure would last indefinitely
        )  # fmt: skip
        assert done.returncode == 130
        assert done.stderr.endswith(
            b"arvo: ended immediately, without a summary; 1 final event written\n"
        )
        assert [ArvoEvent.from_json(line).data for line in done.stdout.splitlines()] == [
            {"text": "hello ada"}
        ]

    def test_ctrl_c_while_waiting_for_input(self, targets: Path) -> None:
        with subprocess.Popen(
            [Path(sys.executable).parent / "arvo", "run", targets / "greeter", "--events", "-",
             "--contract", "#/test/greet/1.0.0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdin.write(b'{"name": "ada"}\n')
            process.stdin.flush()
            assert b"hello ada" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            err = process.stderr.read()  # standard input stays open all the while
            assert process.wait() == 130
        assert b"1 result + 0 rejected + 0 failed = 1 line read" in err
        assert b"the input was not read to its end; it may go on after line 1" in err

    def test_ctrl_c_before_the_run_has_begun(self, tmp_path: Path, targets: Path) -> None:
        os.mkfifo(tmp_path / "loading")
        package = tmp_path / "slow"
        package.mkdir()
        (package / "__init__.py").write_text(
            f"import signal\nopen({str(tmp_path / 'loading')!r}, 'w').close()\nsignal.pause()\n"
        )
        with subprocess.Popen(
            [Path(sys.executable).parent / "arvo", "run", package, "--events", os.devnull],
            stderr=subprocess.PIPE,
        ) as process:
            assert (tmp_path / "loading").read_text() == ""
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert err == b"arvo: interrupted\n"
        assert process.returncode == 130

    def test_ctrl_c_while_the_command_itself_is_imported(self) -> None:
        program = """
import signal, sys

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
from arvo_cli import main
sys.exit(main(["--version"]))
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        assert done.stderr == b"arvo: interrupted\n"
        assert done.returncode == 130

    def test_output_whose_reader_has_gone_ends_the_run(self, tmp_path: Path, targets: Path) -> None:
        """As in `arvo run ... | head -1`."""
        events = tmp_path / "events.jsonl"
        events.write_text('{"name": "ada"}\n' * 5)
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [Path(sys.executable).parent / "arvo", "run", targets / "greeter", "--events", events,
             "--contract", "#/test/greet/1.0.0", "--concurrency", "1"],
            stdout=writing, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        os.close(writing)
        assert done.returncode == 1
        assert b"arvo: cannot write standard output: Broken pipe" in done.stderr
        assert b"0 results + 0 rejected + 1 failed + 4 not started = 5 lines read" in done.stderr
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr
