"""Outputs are emptied when the run begins, and not before."""

import gzip
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arvo_cli._errors import CommandError
from arvo_cli._terminal._output import LineWriter

OLD_CONTENT = "of an earlier run, and longer than what is written now: " + "x" * 1000 + "\n"
PROGRAM = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
GREETING = b'{"name": "ada"}\n'


@pytest.fixture
def outputs(tmp_path: Path) -> list[Path]:
    """Two files with something in them."""
    paths = [tmp_path / "out", tmp_path / "rejects"]
    for path in paths:
        path.write_text(OLD_CONTENT)
    return paths


@pytest.fixture
def run(arvo: Any, targets: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run the greeter over bytes in a file."""

    def call(content: bytes, *options: object) -> Any:
        events = tmp_path / "events"
        events.write_bytes(content)
        return arvo(
            "run", targets / "greeter", "--events", events, "--contract", "#/test/greet/1.0.0",
            *options,
        )  # fmt: skip

    return call


UNREADABLE = {
    "UTF-16": GREETING.decode().encode("utf-16"),
    "UTF-32BE": GREETING.decode().encode("utf-32be"),
    "UTF-16 in gzip": gzip.compress(GREETING.decode().encode("utf-16")),
    "gzip without its header": b"\x1f{}",
    "gzip of rubbish": b"\x1f\x8b{}" * 9,
    "gzip that is cut off": gzip.compress(GREETING)[:9],
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_an_input_that_cannot_be_read_empties_nothing(
    run: Any, outputs: list[Path], content: bytes
) -> None:
    out, rejects = outputs
    assert run(content, "--out", out, "--rejects", rejects).status == 2
    assert [path.read_text() for path in outputs] == [OLD_CONTENT, OLD_CONTENT]


def test_an_input_that_fails_at_the_first_read_empties_nothing(
    arvo: Any, targets: Path, outputs: list[Path]
) -> None:
    out, rejects = outputs
    options = ("--events", "/proc/self/mem", "--out", out, "--rejects", rejects)
    assert arvo("run", targets / "greeter", *options).status == 2
    assert [path.read_text() for path in outputs] == [OLD_CONTENT, OLD_CONTENT]


@pytest.mark.parametrize("other", ["/nonexistent/rejects", ".", "", "/dev/full/rejects"])
@pytest.mark.parametrize("options", [("--out", "--rejects"), ("--rejects", "--out")])
def test_an_output_that_cannot_be_opened_empties_no_other(
    run: Any, outputs: list[Path], options: tuple[str, str], other: str
) -> None:
    one, another = options
    assert run(GREETING, one, outputs[0], another, other).status == 2
    assert outputs[0].read_text() == OLD_CONTENT


@pytest.mark.parametrize("content", [UNREADABLE["UTF-16"], UNREADABLE["gzip of rubbish"]])
def test_a_run_that_cannot_begin_leaves_no_new_file(
    run: Any, tmp_path: Path, content: bytes
) -> None:
    assert run(content, "--out", tmp_path / "out", "--rejects", tmp_path / "rejects").status == 2
    assert {path.name for path in tmp_path.iterdir()} == {"events"}
    assert run(GREETING, "--out", tmp_path / "out", "--rejects", tmp_path).status == 2
    assert {path.name for path in tmp_path.iterdir()} == {"events"}


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", gzip.compress(b"")], ids=["empty", "blank", "empty-gzip"]
)
def test_a_run_over_an_empty_input_empties_its_outputs(
    run: Any, outputs: list[Path], content: bytes
) -> None:
    out, rejects = outputs
    assert run(content, "--out", out, "--rejects", rejects).status == 0
    assert [path.read_bytes() for path in outputs] == [b"", b""]


def test_a_run_overwrites_its_outputs(run: Any, outputs: list[Path]) -> None:
    out, rejects = outputs
    modes = [path.stat().st_mode for path in outputs]
    assert run(GREETING, "--out", out, "--rejects", rejects).status == 0
    assert out.read_text().count("\n") == 1
    assert "hello ada" in out.read_text()
    assert rejects.read_text() == ""
    assert [path.stat().st_mode for path in outputs] == modes


def test_input_corrupt_further_on_keeps_the_results_before(run: Any, outputs: list[Path]) -> None:
    out, rejects = outputs
    line = GREETING.rstrip().ljust(1000) + b"\n"  # few lines, and yet many pieces of 64 KiB
    content = gzip.compress(line * 800, compresslevel=0)
    assert run(content[:-100_000], "--out", out, "--rejects", rejects).status == 2
    assert "hello ada" in out.read_text()
    assert OLD_CONTENT not in out.read_text()


def test_an_interrupt_before_the_first_line_empties_nothing(
    targets: Path, tmp_path: Path, outputs: list[Path]
) -> None:
    """The outputs are open once the fifo has both its ends."""
    out = outputs[0]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", targets / "greeter", "--events", "-",
         "--contract", "#/test/greet/1.0.0", "--out", out, "--rejects", fifo],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            with fifo.open("rb"):  # waits until the command opens its other end
                process.send_signal(signal.SIGINT)
                # Its input stays open: nothing but the interrupt ends it.
                assert process.wait() == 130
        finally:
            process.kill()
    assert out.read_text() == OLD_CONTENT


def test_fifo_and_null_device_are_written(run: Any, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = run(GREETING + b"{}\n", "--out", fifo, "--rejects", "/dev/null")
        assert b"hello ada" in os.read(reading, 10_000)
    finally:
        os.close(reading)
    assert done.status == 3
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_dangling_link_creates_its_file(run: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    assert run(GREETING, "--out", tmp_path / "link").status == 0
    assert "hello ada" in (tmp_path / "real").read_text()


def test_a_file_that_took_the_place_of_the_new_one_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with LineWriter(str(path)):
        path.rename(tmp_path / "moved")
        path.write_text(OLD_CONTENT)
    assert path.read_text() == OLD_CONTENT


def test_a_new_file_that_was_removed_meanwhile_is_ignored(tmp_path: Path) -> None:
    with LineWriter(str(tmp_path / "out")):
        (tmp_path / "out").unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_emptied_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_text(OLD_CONTENT)

    def refuse(descriptor: int, length: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "ftruncate", refuse)
    message = r"cannot write .*out: Operation not permitted"
    with LineWriter(str(path)) as writer, pytest.raises(CommandError, match=message):
        writer.begin()
    assert path.read_text() == OLD_CONTENT


def test_the_first_line_empties_the_file_and_only_once(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text(OLD_CONTENT)
    with LineWriter(str(path)) as writer:
        assert path.read_text() == OLD_CONTENT
        writer.write("one")
        writer.begin()
        writer.write("two")
    assert path.read_text() == "one\ntwo\n"
