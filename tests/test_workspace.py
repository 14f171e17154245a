"""A package is part of the workspace only when every tool knows it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


def load(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


TOOL: dict[str, Any] = load(ROOT / "pyproject.toml")["tool"]
IMPORT_CONTRACTS = {contract["name"]: contract for contract in TOOL["importlinter"]["contracts"]}


def distribution(package: str) -> str:
    return package.replace("_", "-")


def layers() -> list[str]:
    floors = IMPORT_CONTRACTS["packages depend downwards only"]["layers"]
    return [name.strip() for floor in floors for name in floor.split("|")]


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(
            [
                name.replace("-", "_")
                for name, source in TOOL["uv"]["sources"].items()
                if "workspace" in source
            ],
            id="uv-sources",
        ),
        pytest.param(
            re.findall(r"packages/(\w+)/src\b", TOOL["mypy"]["mypy_path"]), id="mypy-path"
        ),
        pytest.param(TOOL["coverage"]["run"]["source_pkgs"], id="coverage"),
        pytest.param(TOOL["importlinter"]["root_packages"], id="importlinter-roots"),
        pytest.param(layers(), id="importlinter-layers"),
        pytest.param(
            IMPORT_CONTRACTS["what is shipped does not need a test runner"]["source_modules"],
            id="importlinter-no-pytest",
        ),
        pytest.param(
            re.findall(r"\(packages/(\w+)\)", (ROOT / "README.md").read_text("utf-8")),
            id="package-table-of-the-readme",
        ),
    ],
)
def test_every_package_is_listed_once(listed: list[str]) -> None:
    assert sorted(listed) == PACKAGES


@pytest.mark.parametrize(
    ("contract", "may"),
    [
        (
            "no driver outside the client and the memory that it is for",
            [
                *("arvo_memory_postgres", "arvo_memory_redis", "arvo_postgres", "arvo_redis"),
                *("arvo_transport_nats", "arvo_transport_redis"),
                "arvo_event_store",  # only in arvo_event_store.postgres, of an extra
            ],
        ),
        ("only arvo_redis imports redis-py and hiredis", ["arvo_redis"]),
        ("only arvo_transport_nats imports nats-py", ["arvo_transport_nats"]),
    ],
    ids=["drivers", "redis", "nats"],
)
def test_every_package_is_kept_from_drivers_or_may_import_them(
    contract: str, may: list[str]
) -> None:
    assert sorted([*IMPORT_CONTRACTS[contract]["source_modules"], *may]) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
class TestPackage:
    def test_is_named_after_its_folder(self, package: str) -> None:
        project = load(ROOT / "packages" / package / "pyproject.toml")["project"]
        assert project["name"] == distribution(package)
        assert (ROOT / "packages" / package / "src" / package / "__init__.py").is_file()

    def test_is_released_with_the_others(self, package: str) -> None:
        versions = {
            load(ROOT / "packages" / name / "pyproject.toml")["project"]["version"]
            for name in PACKAGES
        }
        assert len(versions) == 1
        changelog = (ROOT / "packages" / package / "CHANGELOG.md").read_text("utf-8")
        assert f"## {versions.pop()} " in changelog

    def test_has_a_readme_of_its_own(self, package: str) -> None:
        readme = (ROOT / "packages" / package / "README.md").read_text("utf-8")
        assert readme.startswith(f"# {distribution(package)}\n")
        assert f"pip install {distribution(package)}" in readme

    def test_has_the_licence_of_the_project(self, package: str) -> None:
        licence = (ROOT / "packages" / package / "LICENSE").read_text("utf-8")
        assert licence == (ROOT / "LICENSE").read_text("utf-8")

    def test_is_typed(self, package: str) -> None:
        assert (ROOT / "packages" / package / "src" / package / "py.typed").is_file()

    def test_declares_what_it_imports(self, package: str) -> None:
        # In the shared environment an undeclared import works; at a user's it does not.
        project = load(ROOT / "packages" / package / "pyproject.toml")["project"]
        extras = project.get("optional-dependencies", {}).values()
        declared = {
            re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            for requirements in (project["dependencies"], *extras)
            for requirement in requirements
        }
        sources = ROOT / "packages" / package / "src"
        imported = {
            distribution_of(module)
            for path in sources.rglob("*.py")
            for module in imported_modules(path)
            if module.partition(".")[0] not in sys.stdlib_module_names | {package}
        }
        assert imported <= declared


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case _:
                pass


def distribution_of(module: str) -> str:
    """The distribution to depend on for `module`, a dotted name that is not in the stdlib."""
    if module.startswith("opentelemetry."):
        return (
            "opentelemetry-sdk" if module.startswith("opentelemetry.sdk") else "opentelemetry-api"
        )
    top_level = module.partition(".")[0]
    if top_level == "nats":
        return "nats-py"
    # pydantic requires one exact version of its core, so a second bound would only be in its way.
    return "pydantic" if top_level == "pydantic_core" else distribution(top_level)
