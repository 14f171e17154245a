"""`arvo machine diagram`: a target's statecharts as Mermaid, Graphviz or SVG."""

import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

FIRST = "door:create_handlers", "--flavour", "first"

MERMAID = """\
stateDiagram-v2
    state "door" as s0 {
        [*] --> s1
        state "open" as s1
        s1 --> [*]
    }
"""


@pytest.fixture
def diagram(arvo: Any) -> Any:
    return lambda *arguments: arvo("machine", "diagram", *arguments)


def test_mermaid_is_printed(diagram: Any) -> None:
    done = diagram(*FIRST)
    assert done.out == MERMAID
    assert done.status == 0


def test_a_machine_that_waits_for_time_is_drawn(diagram: Any) -> None:
    assert ": after 1000 ms\n" in diagram("egg:create_handlers").out


def test_a_folder_is_accepted_as_target(diagram: Any, targets: Path) -> None:
    assert diagram(targets / "door", "--flavour", "first").out == MERMAID


def test_dot_is_printed(diagram: Any) -> None:
    out = diagram(*FIRST, "--format", "dot").out
    assert out.startswith('digraph "door" {\n')
    assert 'label="open"' in out


def test_all_machines_are_printed_unless_one_is_named(diagram: Any) -> None:
    shut = MERMAID.replace("open", "shut")
    assert diagram("door:create_handlers").out == f"{MERMAID}\n{shut}"
    assert diagram("door:create_handlers", "--machine", "#/test/door/2.0.0").out == shut


def test_out_writes_the_diagram_to_a_file(diagram: Any, tmp_path: Path) -> None:
    done = diagram(*FIRST, "--out", tmp_path / "door.mmd")
    assert (tmp_path / "door.mmd").read_text("utf-8") == MERMAID
    assert done.out == done.err == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["greeter:create_handlers"],
            "greeter:create_handlers has no machine: no handler is an ArvoOrchestrator\n",
        ),
        (
            ["door:create_handlers", "--flavour", "bell"],
            "no handler is an ArvoOrchestrator; --flavour has both, first, bell\n",
        ),
        (
            ["door:create_handlers", "--machine", "#/test/door/3.0.0"],
            "no machine '#/test/door/3.0.0'; choose one of: #/test/door/1.0.0, #/test/door/2.0.0\n",
        ),
        (
            ["door:create_handlers", "--format", "svg"],
            "svg shows one machine only; choose with --machine: #/test/door/1.0.0, #/test/door/2",
        ),
        ([*FIRST, "--out", "/nowhere/door.mmd"], "cannot write /nowhere/door.mmd: No such file"),
    ],
)
def test_drawing_error_is_one_clear_line(diagram: Any, arguments: list[str], reason: str) -> None:
    done = diagram(*arguments)
    assert done.status == 2
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def graphviz(folder: Path, script: str) -> None:
    """Put a `dot` that does what a script says into a folder."""
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


class TestSvg:
    def test_missing_graphviz_is_reported_with_how_to_install_it(
        self, diagram: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        done = diagram(*FIRST, "--format", "svg", "--out", tmp_path / "door.svg")
        assert done.status == 2
        assert done.err == (
            "arvo: svg needs Graphviz, and there is no `dot` on the PATH; install it "
            "(apt install graphviz, brew install graphviz), or use --format mermaid\n"
        )
        assert not (tmp_path / "door.svg").exists()

    def test_graphviz_gets_the_graph_and_its_output_is_printed(
        self, diagram: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graphviz(tmp_path, 'echo "options: $*"; cat')
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        done = diagram(*FIRST, "--format", "svg")
        graph = diagram(*FIRST, "--format", "dot").out
        assert done.out == f"options: -Tsvg\n{graph}"

    def test_failure_of_graphviz_is_reported(
        self, diagram: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graphviz(tmp_path, "echo 'no fonts here' >&2; exit 1")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        done = diagram(*FIRST, "--format", "svg")
        assert (done.status, done.err) == (2, "arvo: Graphviz failed: no fonts here\n")

    def test_graphviz_that_does_not_start_is_reported(
        self, diagram: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "dot").write_text("this is not a program")
        (tmp_path / "dot").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        done = diagram(*FIRST, "--format", "svg")
        assert done.status == 2
        assert done.err.startswith(f"arvo: cannot run {tmp_path / 'dot'}: ")

    @pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
    def test_installed_graphviz_draws(self, diagram: Any) -> None:
        root = ElementTree.fromstring(diagram(*FIRST, "--format", "svg").out)  # noqa: S314 - ours
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert {"door", "open"} <= {text.text for text in root.iter() if text.tag.endswith("text")}
