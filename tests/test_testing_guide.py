"""The test modules in docs/testing.md run under pytest, and every test passes."""

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_examples import CodeExample, find_examples

ROOT = Path(__file__).parent.parent
MODULES = [
    example
    for example in find_examples(ROOT / "docs" / "testing.md")
    if "import pytest" in example.source
]


def test_there_are_test_modules() -> None:
    assert len(MODULES) == 3


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_passes(module: CodeExample, tmp_path: Path) -> None:
    path = tmp_path / "test_shown.py"
    path.write_text(module.source, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
