import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "none.jsonl").touch()
    return tmp_path


def package(name: str, content: str) -> None:
    Path(name).mkdir()
    Path(name, "__init__.py").write_text(content)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere", "there is no folder 'nowhere'; give a folder, or a factory as module:factory"),
        (":factory", "there is no folder ':factory'"),
        ("module:", "there is no folder 'module:'"),
        ("nosuch:factory", "cannot import 'nosuch': ModuleNotFoundError: No module named 'nosuch'"),
        ("greeter:nobody", "greeter does not define nobody; write `def nobody(memory: IMachine"),
        ("greeter:number", "number of greeter must be a function, not int"),
        ("greeter:fails", "the factory of greeter:fails failed: RuntimeError: no database: any"),
        ("greeter", "greeter is a module; write greeter:create_handlers"),
        ("greeter.nothing", "there is no folder 'greeter.nothing'; give a folder, or a factory"),
        (
            "greeter:takes_nothing",
            "must take one argument, the machine memory; write `def takes_no",
        ),
        ("greeter:is_async", "is async; make it a plain function"),
        ("greeter:returns_nothing", "returned no handlers"),
        ("greeter:returns_rubbish", "must return a list of handlers, not of str"),
        ("greeter:returns_none", "must return a list of handlers, not of NoneType"),
        ("greeter:returns_twins", "has 2 handlers for com.greet.name; keep one handler per topic"),
    ],
)
def test_a_wrong_target_is_one_clear_line(arvo: Any, here: Path, target: str, reason: str) -> None:
    done = arvo("run", target, "--events", "none.jsonl")
    assert done.status == 2
    assert done.err.startswith("arvo: ")
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "t_missing",
            "import sys\nimport nosuchthing",
            "No module named 'nosuchthing' ({here}/t_missing/__init__.py, line 2); ARVO_DEBUG=1",
        ),
        (
            "t_syntax",
            "def create_handlers(:",
            "SyntaxError: invalid syntax ({here}/t_syntax/__init__.py, line 1); ARVO_DEBUG=1",
        ),
        (
            "t_factory",
            "def create_handlers(memory):\n    return 1 / 0",
            "ZeroDivisionError: division by zero ({here}/t_factory/__init__.py, line 2); ARVO_",
        ),
        ("t_script", "import sys; sys.exit()", "cannot import 't_script': SystemExit ("),
        ("t_empty", "", "t_empty does not define create_handlers"),
        (
            "t_listener",
            "def create_handlers(memory): return []\ndef on_domained_event(event, publish): ...",
            "must be `async def on_domained_event(event, publish)`",
        ),
        (
            "t_silent",
            (
                "class Silent:\n"
                "    source, stateful = 'com.silent', False\n"
                "    async def execute(self, event, *, parent=None): return []\n"
                "def create_handlers(memory): return [Silent()]"
            ),
            "it lacks contract, which may be None",
        ),
    ],
)
def test_a_wrong_folder_is_one_clear_line(
    arvo: Any, here: Path, name: str, content: str, reason: str
) -> None:
    package(name, content)
    done = arvo("run", name, "--events", "none.jsonl")
    assert done.status == 2
    assert reason.replace("{here}", str(here)) in done.err
    assert done.err.count("\n") == 1


def test_a_broken_import_is_reported_with_file_and_line(arvo: Any, here: Path) -> None:
    package("t_outer", "from . import inner")
    Path("t_outer/inner.py").write_text("\nimport nosuchthing\n")
    done = arvo("run", "t_outer", "--events", "none.jsonl")
    assert f"No module named 'nosuchthing' ({here}/t_outer/inner.py, line 2)" in done.err


def test_a_folder_that_is_not_a_package_is_refused(arvo: Any, here: Path) -> None:
    Path("plain").mkdir()
    done = arvo("run", "plain", "--events", "none.jsonl")
    assert done.err == (
        "arvo: the folder plain is not a package; add an __init__.py that defines create_handlers\n"
    )


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("t_main.py", "write t_main:create_handlers"),
        ("t_trips/app.py", "write t_trips.app:create_handlers"),
        ("./t_trips/__init__.py", "write t_trips:create_handlers"),
        ("t-dashed.py", "give its factory as module:factory, with a module that can be imported"),
        ("none.jsonl", "give a folder, or a factory as module:factory"),
        (__file__, "give its factory as module:factory, with a module that can be imported"),
    ],
)
def test_a_file_is_refused_with_its_module_and_factory(
    arvo: Any, here: Path, name: str, remedy: str
) -> None:
    package("t_trips", "")
    for path in ("t_main.py", "t_trips/app.py", "t-dashed.py"):
        Path(path).touch()
    done = arvo("run", name, "--events", "none.jsonl")
    assert done.status == 2
    assert done.err.startswith(f"arvo: {name} is a file; {remedy}")


def test_a_module_is_refused_with_its_factory(arvo: Any, here: Path) -> None:
    package("t_dotted", "")
    Path("t_dotted/app.py").touch()
    done = arvo("run", "t_dotted.app", "--events", "none.jsonl")
    assert done.err == "arvo: t_dotted.app is a module; write t_dotted.app:create_handlers\n"


def test_the_working_directory_is_importable(here: Path, targets: Path) -> None:
    """The installed command has its own folder on the path, not the working directory."""
    Path("deep").mkdir()
    (Path("deep") / "__init__.py").touch()
    (Path("deep") / "mine.py").write_text(
        f"import sys; sys.path.append({str(targets)!r})\n"
        "from greeter import create_handlers as factory\n"
    )
    Path("events.jsonl").write_text('{"name": "ada"}\n')
    done = subprocess.run(
        [Path(sys.executable).parent / "arvo", "run", "deep.mine:factory",
         "--events", "events.jsonl", "--contract", "#/test/greet/1.0.0"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert b"hello ada" in done.stdout


def test_a_folder_may_be_given_as_a_dot(
    arvo: Any, here: Path, targets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("one.jsonl").write_text('{"name": "ada"}\n')
    monkeypatch.chdir(targets / "greeter")
    done = arvo("run", ".", "--events", here / "one.jsonl", "--contract", "#/test/greet/1.0.0")
    assert done.data == [{"text": "hello ada"}]
