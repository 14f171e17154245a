"""The machine memories in docs/memories.md pass the suites, and open by URL."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pytest_examples import CodeExample, find_examples

from arvo_event_handler.memory import connect_memory
from arvo_event_handler.testing import LeasedMachineMemorySuite, MachineMemorySuite

PAGE = Path(__file__).parent.parent / "docs" / "memories.md"
FILES, LEASES, *_ = find_examples(PAGE)


def promises(*suites: type) -> int:
    """Return the number of tests in the suites."""
    return sum(name.startswith("test_") for suite in suites for name in dir(suite))


@pytest.mark.parametrize(
    ("program", "suites"),
    [
        pytest.param(FILES, (MachineMemorySuite,), id="files"),
        pytest.param(LEASES, (MachineMemorySuite, LeasedMachineMemorySuite), id="leases"),
    ],
)
def test_memory_passes_every_test_of_its_suites(
    program: CodeExample, suites: tuple[type, ...], tmp_path: Path
) -> None:
    (tmp_path / "test_shown.py").write_text(program.source, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shown.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{promises(*suites)} passed in ")


@pytest.mark.parametrize("program", [FILES, LEASES], ids=["files", "leases"])
def test_memory_imports_no_private_module(program: CodeExample) -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(program.source))
        if isinstance(node, ast.ImportFrom) and node.module is not None
    }
    ours = {module for module in modules if module.startswith("arvo_")}
    assert "arvo_event_handler.memory" in ours
    assert [module for module in ours if "._" in module] == []


async def test_memory_opens_by_its_url_once_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [shown] = re.findall(r"```toml\n(\[project\].*?)```", PAGE.read_text("utf-8"), re.S)
    project = tomllib.loads(shown)["project"]
    [(group, entries)] = project["entry-points"].items()
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))
    (tmp_path / "file_memory.py").write_text(FILES.source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "file_memory", raising=False)
    url = f"files:{tmp_path / 'state'}"
    async with connect_memory(url) as memory:
        await memory.write("order-7", {"status": "active"}, None)
    async with connect_memory(url) as memory:
        assert await memory.read("order-7") == {"status": "active"}
