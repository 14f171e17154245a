"""Encoding, compression and line limits of the input."""

import gzip
import json
import re
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from arvo_cli._input._encoding import foreign_encoding, is_sufficient
from arvo_cli._input._gunzip import Gunzip

from .test_input import greeting

NAMES = b"".join(json.dumps({"name": f"n{count}"}).encode() + b"\n" for count in range(1000))
PACKED = gzip.compress(NAMES)

Run = Callable[..., Any]


@pytest.fixture
def run(arvo: Any, targets: Path, tmp_path: Path) -> Run:
    """Run the greeter over bytes in a file."""

    def call(content: bytes, *options: object) -> Any:
        path = tmp_path / "events"
        path.write_bytes(content)
        return arvo(
            "run", targets / "greeter", "--events", path, "--contract", "#/test/greet/1.0.0",
            *options,
        )  # fmt: skip

    return call


@pytest.fixture
def stdin(arvo: Any, targets: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the greeter over bytes that arrive one by one through a pipe."""

    def call(content: bytes) -> Any:
        feed = f"import os\nfor byte in {content!r}: os.write(1, bytes([byte]))"
        with subprocess.Popen([sys.executable, "-c", feed], stdout=subprocess.PIPE) as process:
            monkeypatch.setattr(sys, "stdin", process.stdout)
            return arvo(
                "run", targets / "greeter", "--events", "-", "--contract", "#/test/greet/1.0.0"
            )

    return call


@contextmanager
def peak_of(call: Callable[[], Any]) -> Iterator[tuple[Any, int]]:
    """Call a function; yield its result and the peak of its allocated bytes."""
    tracemalloc.start()
    try:
        result = call()
        yield result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestGzip:
    def test_is_read(self, run: Run) -> None:
        done = run(PACKED)
        assert (done.status, len(done.data)) == (0, 1000)

    def test_is_recognised_by_its_content_and_not_by_its_name(
        self, arvo: Any, targets: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "events.jsonl.gz"
        path.write_bytes(b'{"name": "ada"}\n')
        command = ("run", targets / "greeter", "--events", path)
        assert arvo(*command, "--contract", "#/test/greet/1.0.0").status == 0

    def test_is_read_from_standard_input_byte_by_byte(self, stdin: Run) -> None:
        done = stdin(gzip.compress(NAMES[:200]))
        assert (done.status, len(done.data)) == (3, 13)  # the last line is cut off

    def test_of_several_members_is_read_as_one_input(self, run: Run) -> None:
        half = len(NAMES) // 2 + 3
        members = [NAMES[:half], b"", NAMES[half:], b""]
        done = run(b"\0\0\0".join(map(gzip.compress, members)) + b"\0" * 10_000)
        assert (done.status, len(done.data)) == (0, 1000)

    def test_of_nothing_is_an_empty_input(self, run: Run) -> None:
        assert "0 lines read" in run(gzip.compress(b"")).err

    @pytest.mark.parametrize("length", [1, 9, 10, 15, len(PACKED) // 2, len(PACKED) - 1])
    def test_that_is_truncated_is_reported_and_the_lines_before_are_run(
        self, run: Run, length: int
    ) -> None:
        done = run(PACKED[:length])
        assert done.status == 2
        assert done.err.endswith(": its gzip data are truncated\n")
        assert "Traceback" not in done.err
        if length < len(PACKED) // 3:
            assert done.err.count("\n") == 1
        else:
            assert "the input was not read to its end" in done.err
            assert "0 failed" in done.err
            assert 300 < len(done.data) <= 1000
            assert done.data[-1] == {"text": f"hello n{len(done.data) - 1}"}

    def test_that_is_truncated_is_counted_to_its_end_after_an_interrupt(self, run: Run) -> None:
        """After an interrupt the remaining lines are only counted."""
        done = run(gzip.compress(b'{"name": "interrupt"}\n' + NAMES * 20)[:-9], "--concurrency", 1)
        assert done.status == 130
        assert re.search(r"not started: \d{4,5} lines after line 1\n", done.err)
        assert "the input was not read to its end" in done.err

    @pytest.mark.parametrize(
        "content",
        [b"\x1f{}", b"\x1f\x8b{}" * 9, gzip.compress(b"{}\n") + b"{}", PACKED[:-8] + bytes(8)],
        ids=["no magic", "no header", "something behind", "check sum"],
    )
    def test_that_is_corrupt_is_reported(self, run: Run, content: bytes) -> None:
        done = run(content)
        assert done.status == 2
        assert ": its gzip data are corrupt: Error -3" in done.err

    def test_a_gzip_bomb_is_rejected_as_one_long_line(self, run: Run) -> None:
        packer = zlib.compressobj(wbits=31)
        bomb = b"".join([*(packer.compress(b"x" * 2**20) for _ in range(100)), packer.flush()])
        with peak_of(lambda: run(bomb)) as (done, peak):
            assert "line 1 rejected: the line is too long by 96468992 bytes" in done.err
            assert peak < 32 * 2**20

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.binary(max_size=300).map(lambda text: text * 40), max_size=5),
        st.integers(1, 5000),
        st.integers(1, 5000),
    )
    def test_decompresses_completely_however_it_is_cut(
        self, members: list[bytes], fed: int, size: int
    ) -> None:
        packed = b"".join(map(gzip.compress, members))
        gunzip = Gunzip(size=size)
        text = b""
        for start in range(0, len(packed), fed):
            gunzip.feed(packed[start : start + fed])
            while piece := gunzip.take():
                assert len(piece) <= size
                text += piece
        assert text == b"".join(members)
        assert gunzip.is_complete

    def test_of_many_members_is_not_copied_for_each(self) -> None:
        """At the end of a member the rest of a slice is copied, not of all data."""
        gunzip = Gunzip(size=2**16)
        gunzip.feed(gzip.compress(b"") * 3000)
        assert gunzip.take() == b""
        gunzip.feed(gzip.compress(b"") * 3000)
        longest = 0
        while gunzip._compressed:
            gunzip._advance()
            longest = max(longest, len(gunzip._slice))
        assert longest <= 4096


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE"])
    def test_other_than_utf_8_is_named(self, run: Run, encoding: str) -> None:
        done = run('{"name": "ada"}\n'.encode(encoding))
        assert done.status == 2
        assert f" is encoded in {encoding}; write it in UTF-8, as `iconv -f {encoding}" in done.err
        assert done.out == ""
        assert done.err.count("\n") == 1

    def test_of_compressed_input_is_named(self, run: Run) -> None:
        assert "encoded in UTF-16;" in run(gzip.compress('{"name": "ada"}'.encode("utf-16"))).err

    def test_of_standard_input_is_named(self, stdin: Run) -> None:
        assert "standard input is encoded in UTF-16LE;" in stdin("\n{}".encode("utf-16le")).err

    @pytest.mark.parametrize("text", ["{}", "\n\n{}", " {}", "[1]", '"a"', "7 "])
    @pytest.mark.parametrize("encoding", ["UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32BE"])
    def test_is_detected_by_the_first_bytes(self, text: str, encoding: str) -> None:
        content = text.encode(encoding)
        sufficient = next(end for end in range(5) if is_sufficient(content[:end]))
        assert foreign_encoding(content[:sufficient]) == encoding

    @pytest.mark.parametrize("text", ["", "{", "{}", "\n", "\ufeff{}", '{"": "\0"}', "{}\n"])
    def test_utf_8_is_not_foreign(self, text: str) -> None:
        assert foreign_encoding(text.encode()) is None

    def test_a_line_of_three_bytes_is_enough_to_detect_it(self, stdin: Run) -> None:
        assert "name: Field required" in stdin(b"{}\n").err


class TestLongLines:
    def test_a_line_beyond_the_limit_is_rejected_and_the_rest_goes_on(self, run: Run) -> None:
        long = json.dumps({"name": "x" * 8 * 2**20}).encode()
        done = run(long + b'\n{"name": "ada"}\n')
        assert done.data == [{"text": "hello ada"}]
        assert "line 1 rejected: the line is too long by 12 bytes; --max-line-bytes" in done.err

    def test_the_limit_can_be_chosen(self, run: Run) -> None:
        line = b'{"name": "ada"}'
        assert run(line + b"\n", "--max-line-bytes", len(line)).status == 0
        assert "too long by 1 byte;" in run(line + b"\n", "--max-line-bytes", len(line) - 1).err
        # The last line need not end.
        assert "too long by 1 byte;" in run(line, "--max-line-bytes", len(line) - 1).err

    def test_the_limit_holds_for_events_too(self, arvo: Any, targets: Path, tmp_path: Path) -> None:
        path = tmp_path / "events"
        path.write_text(json.dumps(greeting(data={"name": "x" * 9 * 2**20})))
        target, events = targets / "greeter", ("--events", path)
        assert "too long" in arvo("run", target, *events).err
        assert arvo("run", target, *events, "--max-line-bytes", 16 * 2**20).status == 0

    def test_the_beginning_of_a_long_line_is_kept(self, run: Run, tmp_path: Path) -> None:
        run(
            b'{"name": "' + b"x" * 5000 + b'"}',
            *("--max-line-bytes", 4000, "--rejects", tmp_path / "r"),
        )
        text = json.loads((tmp_path / "r").read_text())["text"]
        assert text == '{"name": "' + "x" * 1014

    def test_an_event_beyond_the_limit_is_rejected(
        self, arvo: Any, targets: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "events"
        path.write_bytes(b"x" * 100)
        done = arvo("run", targets / "greeter", "--events", path, "--max-line-bytes", 50)
        assert "line 1 rejected: the line is too long by 50 bytes" in done.err

    def test_a_line_without_end_is_held_only_in_part(
        self, arvo: Any, targets: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "events"
        with path.open("wb") as file:
            file.write(b"x" * 8)
            file.truncate(100 * 2**20)
        command = ("run", targets / "greeter", "--events", path)
        with peak_of(lambda: arvo(*command)) as (done, peak):
            assert "line 1 rejected: the line is too long" in done.err
            assert peak < 32 * 2**20
