"""Names and links in the documentation exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MIGRATION = ROOT / "docs" / "from-typescript.md"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("packages/*/*.md"),
]


def names_in(cell: str) -> list[str]:
    """Return the quoted names of a cell that belong to one of our packages."""
    quoted = re.findall(r"`([\w.]+)`", cell)
    return [name for name in quoted if name.partition(".")[0] in PACKAGES]


ROWS = re.findall(r"^\| (?!TypeScript \|)(.+?) \| (.+) \|$", MIGRATION.read_text("utf-8"), re.M)
NAMES = [name for _, python in ROWS for name in names_in(python)]


def resolve(name: str) -> object:
    package, _, rest = name.partition(".")
    found: object = importlib.import_module(package)
    path = package
    for part in rest.split(".") if rest else ():
        path = f"{path}.{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_python_name_of_the_migration_table_exists(name: str) -> None:
    assert resolve(name) is not None
    assert not any(part.startswith("_") for part in name.split("."))


def test_every_row_of_the_migration_table_names_a_python_name() -> None:
    without = [typescript for typescript, python in ROWS if not names_in(python)]
    assert without == ["`z.object({...})`"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_has_a_target(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", document.read_text("utf-8"))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (document.parent / target).exists()] == []
