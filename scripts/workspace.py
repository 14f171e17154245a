"""Facts about the packages of this workspace, for the checks.

    changed         the tests of what has changed
    touched         the folders of the packages that a change may affect
    floors          the packages, or those named, one line for each floor, the lowest first
    below PACKAGE   the packages named, and every package that they depend on, with their extras
    public-names    every public name, as listed in tests/public_names.txt

A change is what differs from the commit at which this branch left `main`, committed or not. Where that
is unknown, nothing has `changed` and everything is `touched`; standard error says why. For `touched`,
`ARVO_PASSED` names another commit to compare with, one for which `scripts/check --full` has passed.
"""

import argparse
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Dependencies = Mapping[str, frozenset[str]]
"""For each package, the packages of this workspace that it declares."""

# Files that no test of a package reads. Tests that read them are in tests/, which always run.
_OF_NO_PACKAGE = (
    "docs/",
    "examples/",
    "benchmarks/",
    ".ci/passed",
    "tests/test_",
    "tests/public_names.txt",
    "tests/timer_faults/",
    "tests/transport_faults/",
    "tests/typing/",
)


class UnknownChangeError(LookupError):
    """There is nothing to compare with; the message says why."""


def dependencies(root: Path = ROOT, *, extras: bool = True) -> Dependencies:
    """Read the dependencies from `packages/*/pyproject.toml`.

    Args:
        root: The root of the workspace.
        extras: Whether those of extras count too, which a package needs to be tested.
    """
    declared = {
        package: {
            re.split(r"[^A-Za-z0-9_-]", requirement, maxsplit=1)[0].replace("-", "_")
            for requirements in (
                project["dependencies"],
                *(project.get("optional-dependencies", {}).values() if extras else ()),
            )
            for requirement in requirements
        }
        for package, project in _projects(root)
    }
    return {package: frozenset(names & declared.keys()) for package, names in declared.items()}


def with_extras(packages: Sequence[str], root: Path = ROOT) -> list[str]:
    """Return the packages as pip is asked for them with all of their extras: `package[extra,other]`.

    Args:
        packages: Names of packages.
        root: The root of the workspace.
    """
    extras = {
        package: ",".join(sorted(project.get("optional-dependencies", ())))
        for package, project in _projects(root)
    }
    return [f"{package}[{extras[package]}]" if extras[package] else package for package in packages]


def _projects(root: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted(root.glob("packages/*/pyproject.toml")):
        yield path.parent.name, tomllib.loads(path.read_text("utf-8"))["project"]


def floors(below: Dependencies) -> list[list[str]]:
    """Sort packages into floors: layers that depend only on lower ones.

    Args:
        below: The dependencies of each.

    Returns:
        Lists of packages; each depends only on packages of lists before its own.

    Raises:
        ValueError: Packages depend on each other.
    """
    found: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(below):
        floor = sorted(name for name in below.keys() - placed if below[name] <= placed)
        if not floor:
            raise ValueError(f"packages depend on each other: {sorted(below.keys() - placed)}")
        found.append(floor)
        placed.update(floor)
    return found


def with_what_is_below(packages: Sequence[str], below: Dependencies) -> list[str]:
    """Return the packages and everything that they need, sorted."""
    needed = set(packages)
    for floor in reversed(floors(below)):
        for package in floor:
            if package in needed:
                needed |= below[package]
    return sorted(needed)


def with_what_is_above(packages: set[str], below: Dependencies) -> set[str]:
    """Return the packages and everything that depends on one of them."""
    affected = set(packages)
    for floor in floors(below):
        affected |= {package for package in floor if below[package] & affected}
    return affected


def touched(changed: Sequence[str], below: Dependencies) -> set[str]:
    """Return the packages that a change may affect.

    A package is touched by a file of its own and by a touched package below it. A file that belongs
    to no package, such as `pyproject.toml`, `uv.lock` or `tests/real_servers`, touches all of them,
    except for pages, examples, benchmarks and the tests that span packages.

    Args:
        changed: Paths of files, relative to the root.
        below: The dependencies of each package.
    """
    packages: set[str] = set()
    for path in changed:
        top, _, rest = path.partition("/")
        package = rest.partition("/")[0]
        if top == "packages" and package in below:
            packages.add(package)
        elif not path.startswith(_OF_NO_PACKAGE) and not ("/" not in path and path.endswith(".md")):
            return set(below)
    return with_what_is_above(packages, below)


def paths_to_test(changed: Sequence[str], root: Path = ROOT) -> list[str]:
    """Return what to run for a change: tests of the packages, or else the tests that have changed.

    Args:
        changed: Paths of files, relative to the root.
        root: The root of the workspace.
    """
    packages = {
        "/".join(parts[:2])
        for path in changed
        if (parts := path.split("/"))[0] == "packages" and len(parts) > 2
    }
    found = packages or {
        path for path in changed if re.fullmatch(r"tests/(.*/)?test_\w+\.py", path)
    }
    return sorted(path for path in found if (root / path).exists())


def changed_files(root: Path = ROOT) -> list[str]:
    """Return the files that differ from where this branch left `main`, committed or not.

    Raises:
        UnknownChangeError: There is no `main`, no common commit, or nothing differs.
    """
    return _files_since(_base(root), root, "main")


def unproven_files(passed: str | None, root: Path = ROOT) -> list[str]:
    """Return the files that differ from what the full check has passed, committed or not.

    That is where this branch left `main`. On a commit of `main` it is unknown, as a single uncommitted
    file would hide everything that landed with it.

    Args:
        passed: A commit for which the full check has passed; None to compare with `main`.
        root: The root of the workspace.

    Raises:
        UnknownChangeError: There is no such commit here, or nothing differs; for None: there is no
            `main`, no common commit, or this is a commit of `main`.
    """
    if passed is not None:
        # Contents are compared, so this commit may also be on another branch.
        commit = _git(root, "rev-parse", "--verify", "--quiet", f"{passed}^{{commit}}").strip()
        return _files_since(commit, root, passed)
    if _git(root, "rev-parse", "HEAD").strip() == _base(root):
        raise UnknownChangeError("this is a commit of main, so what landed last is unknown")
    return changed_files(root)


def _files_since(commit: str, root: Path, name: str) -> list[str]:
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", commit)
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    files = sorted({*changed.split("\0"), *untracked.split("\0")} - {""})
    if not files:
        raise UnknownChangeError(f"nothing differs from {name}, so what landed last is unknown")
    return files


def _base(root: Path) -> str:
    for name in ("origin/main", "main"):
        try:
            return _git(root, "merge-base", name, "HEAD").strip()
        except UnknownChangeError:
            continue
    raise UnknownChangeError("no main to compare with, or a clone too shallow to tell")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnknownChangeError(f"git {arguments[0]} failed: {error}") from error
    return done.stdout.decode("utf-8", "surrogateescape")


def public_names() -> list[str]:
    """Return `package.module.name` for what public modules list in `__all__`, sorted."""
    names: list[str] = []
    for package in dependencies():
        found = importlib.import_module(package)
        modules = [found]
        modules += [
            importlib.import_module(module.name)
            for module in pkgutil.walk_packages(found.__path__, f"{package}.")
            if not any(part.startswith("_") for part in module.name.split("."))
        ]
        names += [f"{module.__name__}.{name}" for module in modules for name in module.__all__]
    return sorted(names)


def _changed() -> Iterator[str]:
    try:
        yield from paths_to_test(changed_files())
    except UnknownChangeError as error:
        print(f"scripts/workspace.py: nothing to run: {error}", file=sys.stderr)


def _touched() -> Iterator[str]:
    below = dependencies()
    try:
        packages = touched(unproven_files(os.environ.get("ARVO_PASSED") or None), below)
    except UnknownChangeError as error:
        print(f"scripts/workspace.py: all packages count as touched: {error}", file=sys.stderr)
        packages = set(below)
    yield from (f"packages/{package}" for package in sorted(packages))


def _floors(packages: Sequence[str]) -> Iterator[str]:
    below = dependencies()
    chosen = {*packages} or {*below}
    if unknown := chosen - {*below}:
        raise SystemExit(f"scripts/workspace.py: no such package: {', '.join(sorted(unknown))}")
    kept = ([name for name in floor if name in chosen] for floor in floors(below))
    return (" ".join(floor) for floor in kept if floor)


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "command", choices=["changed", "touched", "floors", "below", "public-names"]
    )
    parser.add_argument("package", nargs="*")
    arguments = parser.parse_args()
    match arguments.command, arguments.package:
        case "changed", []:
            lines: Iterable[str] = _changed()
        case "touched", []:
            lines = _touched()
        case "floors", packages:
            lines = _floors(packages)
        case "below", [_, *_] as packages:
            lines = with_extras(with_what_is_below(packages, dependencies()))
        case "public-names", []:
            lines = public_names()
        case _:
            parser.error("only `floors` takes packages, and `below`, one or more")
    for line in lines:
        print(line)


if __name__ == "__main__":
    _main()
