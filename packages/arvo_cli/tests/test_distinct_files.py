"""Inputs and outputs that are the same file under different names."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typing_extensions import override

from arvo_cli._errors import CommandError
from arvo_cli._terminal._distinct_files import check_distinct
from arvo_cli._terminal._output import LineWriter

PROGRAM = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
LINE = '{"name": "ada"}\n'


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text(LINE)
    return path


@pytest.fixture
def sh(targets: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run the greeter from a shell, followed by further options and redirections."""

    def call(rest: str) -> Any:
        arvo = f"'{sys.executable}' -c '{PROGRAM}' run '{targets / 'greeter'}'"
        return subprocess.run(
            ["/bin/sh", "-c", f"{arvo} --contract '#/test/greet/1.0.0' {rest}"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return call


def hard_link(path: Path) -> Path:
    other = path.with_name("hard")
    other.hardlink_to(path)
    return other


def soft_link(path: Path) -> Path:
    other = path.with_name("soft")
    other.symlink_to(path)
    return other


def another_way(path: Path) -> Path:
    return path.parent / "." / ".." / path.parent.name / path.name


def descriptor(path: Path) -> Path:
    return Path("/dev/fd") / str(os.open(path, os.O_RDONLY))


@pytest.mark.parametrize("option", ["--out", "--rejects"])
@pytest.mark.parametrize("name", [Path, hard_link, soft_link, another_way, descriptor])
def test_output_that_is_the_input_is_refused_by_any_name(
    arvo: Any, targets: Path, events: Path, option: str, name: Callable[[Path], Path]
) -> None:
    done = arvo(
        "run", targets / "greeter", "--events", events, "--contract", "#/test/greet/1.0.0",
        option, name(events),
    )  # fmt: skip
    assert done.status == 2
    assert done.err.startswith(f"arvo: {option} ")
    assert f"--events {events} are the same file" in done.err
    assert events.read_text() == LINE


@pytest.mark.parametrize("name", [Path, hard_link, soft_link])
def test_two_outputs_that_are_one_file_are_refused_by_any_name(
    arvo: Any, targets: Path, events: Path, tmp_path: Path, name: Callable[[Path], Path]
) -> None:
    out = tmp_path / "out"
    out.write_text("of an earlier run")
    done = arvo(
        "run", targets / "greeter", "--events", events, "--contract", "#/test/greet/1.0.0",
        "--out", out, "--rejects", name(out),
    )  # fmt: skip
    assert done.status == 2
    assert out.read_text() == "of an earlier run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What a shell opens before it runs a command."""

    stdin: str = "/dev/null"
    stdout: str = "/dev/null"
    stderr: str = "/dev/null"

    def open(self, monkeypatch: pytest.MonkeyPatch, opened: ExitStack) -> None:
        for name, mode in (("stdin", "r"), ("stdout", "a"), ("stderr", "a")):
            file = opened.enter_context(Path(getattr(self, name)).open(mode))  # noqa: SIM115 - it closes it
            monkeypatch.setattr(sys, name, file)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Closes files at the end; the test is in a folder with a file F."""
    monkeypatch.chdir(tmp_path)
    Path("F").write_text(LINE)
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("shell", "options", "named"),
    [
        (Shell(stdin="F", stdout="F"), {}, "standard output and standard input"),
        (Shell(stdin="F", stdout="F"), {"out": "G"}, "standard output and standard input"),
        (Shell(stdout="F"), {"events": "F"}, "standard output and --events F"),
        (Shell(stdin="F", stderr="F"), {}, "standard error and standard input"),
        (Shell(stdin="F"), {"out": "F"}, "--out F and standard input"),
        (Shell(stdin="F"), {"rejects": "F"}, "--rejects F and standard input"),
        (Shell(stdout="G"), {"out": "G"}, "--out G and standard output"),
        (Shell(stdout="G"), {"rejects": "./G"}, "--rejects ./G and standard output"),
        (Shell(stderr="G"), {"rejects": "G"}, "--rejects G and standard error"),
        (Shell(), {"out": "new", "rejects": "./new"}, "--rejects ./new and --out new"),
    ],
)
def test_files_opened_by_the_shell_are_compared_too(
    monkeypatch: pytest.MonkeyPatch,
    opened: ExitStack,
    shell: Shell,
    options: dict[str, str],
    named: str,
) -> None:
    shell.open(monkeypatch, opened)
    asked: dict[str, Any] = {"events": "-", "out": "-", "rejects": None}
    with pytest.raises(CommandError, match=f"^{re.escape(named)} are the same file"):
        check_distinct(**asked | options)
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("shell", "options"),
    [
        (Shell(), {"out": "/dev/null", "rejects": "/dev/null"}),
        (Shell(stdin="F", stdout="G", stderr="G"), {}),  # > G 2>&1
        (Shell(stdin="F"), {"events": "F", "out": "G"}),
        (Shell(stdin="F"), {"out": "G", "rejects": "H"}),
    ],
)
def test_sharing_that_destroys_nothing_is_allowed(
    monkeypatch: pytest.MonkeyPatch, opened: ExitStack, shell: Shell, options: dict[str, str]
) -> None:
    shell.open(monkeypatch, opened)
    asked: dict[str, Any] = {"events": "-", "out": "-", "rejects": None}
    check_distinct(**asked | options)


@pytest.mark.parametrize("rest", ["--events - < F > F", "--events - --out G < F >> F"])
def test_file_that_the_shell_opens_twice_is_refused(
    sh: Callable[..., Any], tmp_path: Path, rest: str
) -> None:
    """What the shell emptied is lost; but it must not pass for a run over an empty input."""
    (tmp_path / "F").write_text(LINE)
    done = sh(rest)
    assert done.returncode == 2
    assert done.stderr.startswith("arvo: standard output and standard input are the same file")
    assert (tmp_path / "F").read_text() == (LINE if ">>" in rest else "")


def test_outputs_may_share_a_pipe(sh: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "F").write_text(LINE)
    done = sh("--events F --out /dev/stdout --rejects /dev/stderr 2>&1 | cat")
    assert "hello ada" in done.stdout


def test_fifo_as_both_input_and_output_is_refused(arvo: Any, targets: Path, tmp_path: Path) -> None:
    """The run would wait for its own output."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    assert arvo("run", targets / "greeter", "--events", path, "--out", path).status == 2


def test_one_socket_may_be_input_and_output(targets: Path) -> None:
    """As under inetd."""
    here, there = socket.socketpair()
    with here, there:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "run", str(targets / "greeter"), "--events", "-",
             "--contract", "#/test/greet/1.0.0"],
            stdin=there.fileno(), stdout=there.fileno(), stderr=subprocess.PIPE,
        )  # fmt: skip
        here.sendall(LINE.encode())
        here.shutdown(socket.SHUT_WR)
        process.communicate()
        assert process.returncode == 0
        assert b"hello ada" in here.recv(10_000)


@pytest.mark.parametrize("option", ["--out", "--rejects"])
def test_output_that_is_the_database_of_the_memory_is_refused(
    greet: Any, tmp_path: Path, option: str
) -> None:
    pytest.importorskip("arvo_memory_sqlite", reason="arvo-cli does not depend on it")
    database = tmp_path / "state.db"
    memory = ["--memory", f"sqlite:///{database}"]
    assert greet("ada", options=memory).status == 0
    before = database.read_bytes()
    done = greet("ada", options=[*memory, option, database])
    assert done.status == 2
    assert done.err == (
        f"arvo: {option} {database} is already in use by this command; write elsewhere\n"
    )
    assert database.read_bytes() == before


def test_one_output_is_not_emptied_when_the_other_is_refused(greet: Any, tmp_path: Path) -> None:
    out, database = tmp_path / "out", tmp_path / "state.db"
    out.write_text("of an earlier run")
    options = ["--memory", f"sqlite:///{database}", "--out", out, "--rejects", database]
    assert greet("ada", options=options).status == 2
    assert out.read_text() == "of an earlier run"


def test_two_names_of_one_file_that_does_not_exist_yet_are_refused(
    greet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that ignores case."""
    out = tmp_path / "out"

    class OutFirst(LineWriter):
        @override
        def open(self) -> None:
            super().open()
            if self._name == str(out):
                (tmp_path / "OUT").hardlink_to(out)

    monkeypatch.setattr("arvo_cli._terminal._output.LineWriter", OutFirst)
    done = greet("ada", options=["--out", out, "--rejects", tmp_path / "OUT"])
    assert done.status == 2
    assert f"--rejects {tmp_path / 'OUT'} is already in use by this command" in done.err


@pytest.mark.parametrize("option", ["--out", "--rejects"])
@pytest.mark.parametrize("file", ["__init__.py", "deeper.py"])
def test_output_that_is_a_module_of_the_target_is_refused(
    arvo: Any, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, file: str
) -> None:
    target = tmp_path / "in_use"
    target.mkdir()
    (target / "__init__.py").write_text("from .deeper import create_handlers")
    (target / "deeper.py").write_text("from greeter import create_handlers")
    before = (target / file).read_text()
    for name in ("in_use", "in_use.deeper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    message = f"arvo: {option} {target / file} is already in use by this command; write elsewhere\n"
    done = arvo(
        "run", target, "--events", events, "--contract", "#/test/greet/1.0.0", option, target / file
    )
    assert (done.status, done.err) == (2, message)
    assert (target / file).read_text() == before


def test_diagram_that_would_overwrite_a_module_of_the_target_is_refused(
    arvo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "light", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "light.py"
    path.write_text("from door import create_handlers")
    before = path.read_text()
    monkeypatch.chdir(tmp_path)
    done = arvo("machine", "diagram", "light:create_handlers", "--flavour", "first", "--out", path)
    assert done.status == 2
    assert f"--out {path} is already in use by this command" in done.err
    assert path.read_text() == before


def test_modules_may_have_any_value_as_their_file(
    greet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, file in enumerate([None, 7, "", "\0", "/nowhere"]):
        module = ModuleType(f"odd{number}")
        vars(module)["__file__"] = file
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "none", None)
    out = tmp_path / "out"
    out.write_text("of an earlier run")
    assert greet("ada", options=["--out", out]).status == 0


def test_run_works_where_the_system_does_not_list_open_files(
    greet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arvo_cli._terminal._distinct_files._OPEN_FILES", tmp_path / "nowhere")
    (tmp_path / "out").write_text("of an earlier run")
    assert greet("ada", options=["--out", tmp_path / "out"]).status == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_stream_without_a_descriptor_is_not_compared(
    greet: Any, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    class NoFile:
        def fileno(self) -> int:
            raise OSError

        def __getattr__(self, name: str) -> Any:
            return getattr(getattr(sys, f"__{stream}__"), name)

    monkeypatch.setattr(sys, stream, NoFile())
    assert greet("ada", options=["--out", tmp_path / "out"]).status == 0
