"""Output that goes to a terminal but not to a pipe."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from arvo_core import ArvoEvent


class Terminal:
    """A pseudo-terminal: what programs write to it can be read from it."""

    def __init__(self) -> None:
        self._screen, self.descriptor = pty.openpty()

    def open(self) -> TextIOWrapper:
        return os.fdopen(os.dup(self.descriptor), "w")

    def text(self) -> str:
        """Close the terminal and return everything that was written to it."""
        os.close(self.descriptor)
        content = b""
        while True:
            try:
                piece = os.read(self._screen, 65536)
            except OSError:  # Linux: no process has the terminal open any more
                piece = b""
            if not piece:
                os.close(self._screen)
                return content.decode().replace("\r\n", "\n")
            content += piece


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text('{"name": "ada"}\nnonsense\n{"name": "ben"}\n')
    return path


@pytest.fixture
def command(targets: Path, events: Path) -> list[str | Path]:
    return ["run", targets / "greeter", "--events", events, "--contract", "#/test/greet/1.0.0"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


BAR = "━"


@pytest.mark.alone
def test_a_real_command_on_a_real_terminal(command: list[str | Path], terminal: Terminal) -> None:
    with subprocess.Popen(
        [Path(sys.executable).parent / "arvo", *command],
        stdout=subprocess.PIPE, stderr=terminal.descriptor,
    ) as process:  # fmt: skip
        shown = terminal.text()
        assert process.stdout is not None
        out = process.stdout.read()
    assert process.returncode == 3
    assert "running" in shown
    assert BAR in shown
    assert "2 results + 1 rejected + 0 failed = 3 lines read" in shown
    assert len([ArvoEvent.from_json(line) for line in out.splitlines()]) == 2


def test_no_bar_in_a_pipe(command: list[str | Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # colours may be forced; a bar would be noise
    done = subprocess.run(
        [Path(sys.executable).parent / "arvo", *command], capture_output=True, check=False
    )
    assert b"running" not in done.stderr
    assert b"\x1b[2K" not in done.stderr
    assert len(done.stdout.splitlines()) == 2


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, arvo: Any) -> Callable[..., int]:
    """Call the command in this process, with terminals for some of its streams."""

    def call(arguments: list[str | Path], **streams: Terminal) -> int:
        opened = {name: terminal.open() for name, terminal in streams.items()}
        with monkeypatch.context() as patch:
            for name, stream in opened.items():
                patch.setattr(sys, name, stream)
            status: int = arvo(*arguments).status
        for stream in opened.values():
            stream.close()
        return status

    return call


def test_results_and_bar_share_a_terminal(
    at: Callable[..., int], command: list[str | Path], terminal: Terminal
) -> None:
    status = at(command, stdout=terminal, stderr=terminal)
    shown = terminal.text()
    assert status == 3
    assert BAR in shown
    # Results are complete and on lines of their own, wherever the bar was just drawn.
    results = [line[line.index("evt.greet") :] for line in shown.split("\n") if "text=" in line]
    assert len(results) == 2
    for line, name in zip(results, ("ada", "ben"), strict=True):
        assert re.fullmatch(rf'evt\.greet\.name\.success  [^ ]{{15}}…  text="hello {name}"', line)
    # Reasons would be lost among the results, so they come after the last one.
    assert shown.index("line 2 rejected") > shown.index(results[-1])
    assert shown.index("line 2 rejected") < shown.index("final event")


def test_a_line_too_wide_for_the_terminal_is_cut(
    at: Callable[..., int], command: list[str | Path], events: Path, terminal: Terminal
) -> None:
    events.write_text(json.dumps({"name": "世" * 100 + "\x9b"}) + "\n")
    assert at(command, stdout=terminal) == 0
    [line] = [line for line in terminal.text().splitlines() if "text=" in line]
    assert re.search("世 ?…$", line)
    assert 79 <= cell_len(line) <= 80


def test_control_characters_in_a_result_do_not_reach_the_terminal(
    at: Callable[..., int], command: list[str | Path], events: Path, terminal: Terminal
) -> None:
    events.write_text(json.dumps({"name": "\x9b2J"}) + "\n")
    assert at(command, stdout=terminal) == 0
    assert "hello \ufffd2J" in terminal.text()


def test_control_characters_in_a_reason_do_not_reach_the_terminal(
    at: Callable[..., int], command: list[str | Path], events: Path, terminal: Terminal
) -> None:
    events.write_text(json.dumps({"name": "escape"}) + "\n")
    assert at(command, stderr=terminal) == 3
    shown = terminal.text()
    assert "\ufffd[2J" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("streams", [["stdout"], ["stdout", "stderr"]])
def test_out_to_standard_output_is_json_on_a_terminal_too(
    at: Callable[..., int], command: list[str | Path], terminal: Terminal, streams: list[str]
) -> None:
    at([*command, "--out", "-"], **dict.fromkeys(streams, terminal))
    results = [line for line in terminal.text().split("\n") if '"hello ' in line]
    for line in results:
        assert ArvoEvent.from_json(line[line.index('{"id"') :]).type == "evt.greet.name.success"
    assert len(results) == 2


def test_the_bar_alone_has_the_terminal(
    at: Callable[..., int], command: list[str | Path], terminal: Terminal, tmp_path: Path
) -> None:
    status = at([*command, "--out", tmp_path / "out.jsonl"], stderr=terminal)
    shown = terminal.text()
    assert status == 3
    assert BAR in shown
    assert "hello ada" not in shown
    assert "line 2 rejected" in shown


def test_the_bar_says_how_much_has_ended_in_any_order(
    at: Callable[..., int], targets: Path, events: Path, terminal: Terminal
) -> None:
    """The first line waits for a time, while the others end."""
    waits = [{"name": "a", "seconds": 0.5}, *({"name": name, "seconds": 0} for name in "bcd")]
    events.write_text("".join(f"{json.dumps(wait)}\n" for wait in waits))
    command = ["run", targets / "patient", "--events", events, "--wait", "9s"]
    status = at([*command, "--contract", "#/test/patient/1.0.0"], stderr=terminal)
    shown = terminal.text()
    assert status == 0
    shares = [int(share) for share in re.findall(r"(\d+)%", shown)]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert "3 results, 1 waiting" in shown


def test_the_bar_of_an_input_without_a_known_end(
    at: Callable[..., int],
    targets: Path,
    terminal: Terminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"name": "ada"}\n')
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        status = at(
            ["run", targets / "greeter", "--events", "-", "--contract", "#/test/greet/1.0.0",
             "--out", tmp_path / "out.jsonl"],
            stderr=terminal,
        )  # fmt: skip
    assert status == 0
    assert "running" in terminal.text()
