"""The checks: their arguments, the packages that a change touches, and their order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import workspace

BELOW = {
    "shop_app": frozenset({"shop_store", "shop_mail"}),
    "shop_core": frozenset[str](),
    "shop_mail": frozenset({"shop_core"}),
    "shop_store": frozenset({"shop_core"}),
    "shop_time": frozenset[str](),
}
ALL = set(BELOW)

ROOT = Path(__file__).parent.parent


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--quick"], "unknown argument: --quick"),
            (["--fast", "--quick"], "unknown argument: --quick"),
            (["--full", "--fast"], "--fast and --full do not go together"),
            (["arvo_core"], "only --fast takes packages"),
            (["--full", "arvo_core"], "only --fast takes packages"),
            (["--fast", "arvo_core", "arvo_gone"], "no such package: packages/arvo_gone"),
        ],
        ids=[
            "option",
            "option-of-fast",
            "two-modes",
            "package",
            "package-of-full",
            "unknown-package",
        ],
    )
    def test_wrong_arguments_are_refused_before_anything_runs(
        self, arguments: list[str], message: str
    ) -> None:
        done = check(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith(f"scripts/check: {message}\n")

    def test_help_says_what_each_mode_does_and_how_long_it_takes(self) -> None:
        done = check("--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "At most ten minutes" in done.stdout
        assert re.search(r"--fast .*Under 90 seconds\n  --full .*sixty minutes", done.stdout, re.S)


def test_every_file_of_tests_that_does_more_is_run_for_that() -> None:
    """A file without a test that is `scaled` would never run with its larger numbers."""
    files = [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]
    texts = {path: path.read_text("utf-8") for path in files if path != Path(__file__)}
    more = re.compile(r"ARVO_FULL|strength\(|check_storm\(|@keeps_the_law")
    larger = {path for path, text in texts.items() if more.search(text)}
    assert ROOT / "tests" / "storm" / "tests" / "test_storm_redis.py" in larger
    assert larger == {path for path, text in texts.items() if "pytest.mark.scaled" in text}


class TestFloors:
    def test_each_floor_depends_only_on_lower_floors(self) -> None:
        assert workspace.floors(BELOW) == [
            ["shop_core", "shop_time"],
            ["shop_mail", "shop_store"],
            ["shop_app"],
        ]

    def test_packages_that_depend_on_each_other_are_refused(self) -> None:
        circle = {"a": frozenset({"b"}), "b": frozenset({"a"}), "c": frozenset[str]()}
        with pytest.raises(ValueError, match=r"depend on each other: \['a', 'b'\]"):
            workspace.floors(circle)

    def test_a_package_comes_with_its_dependencies(self) -> None:
        assert workspace.with_what_is_below(["shop_mail"], BELOW) == ["shop_core", "shop_mail"]

    def test_a_package_is_above_what_its_extras_need(self, tmp_path: Path) -> None:
        """Its tests need them too, and so do the dependencies of other kinds that an extra has."""
        for package, project in {
            "shop_mail": "dependencies = []",
            "shop_store": """dependencies = ["somelib>=1"]
                optional-dependencies = { "mail" = ["shop-mail>=1"], "json" = ["fast-json"] }""",
        }.items():
            (tmp_path / "packages" / package).mkdir(parents=True)
            settings = tmp_path / "packages" / package / "pyproject.toml"
            settings.write_text(f"[project]\n{project}\n", "utf-8")
        below = workspace.dependencies(tmp_path)
        assert workspace.floors(below) == [["shop_mail"], ["shop_store"]]
        assert workspace.dependencies(tmp_path, extras=False)["shop_store"] == frozenset()
        needed = workspace.with_what_is_below(["shop_store"], below)
        assert workspace.with_extras(needed, tmp_path) == ["shop_mail", "shop_store[json,mail]"]

    def test_floors_of_some_packages_have_no_others(self) -> None:
        found = workspace._floors(["arvo_transport_nats", "arvo_core", "arvo_transport_redis"])
        assert [*found] == ["arvo_core", "arvo_transport_nats arvo_transport_redis"]
        with pytest.raises(SystemExit, match="no such package: arvo_gone"):
            workspace._floors(["arvo_core", "arvo_gone"])

    def test_every_package_of_this_workspace_has_a_floor(self) -> None:
        below = workspace.dependencies()
        assert "arvo_core" in below["arvo_event_handler"]
        assert sorted(name for floor in workspace.floors(below) for name in floor) == sorted(below)


class TestTouched:
    @pytest.mark.parametrize(
        ("path", "packages"),
        [
            ("packages/shop_app/src/shop_app/_page.py", {"shop_app"}),
            ("packages/shop_mail/tests/test_mail.py", {"shop_mail", "shop_app"}),
            ("packages/shop_core/pyproject.toml", ALL - {"shop_time"}),
            ("packages/shop_core/README.md", ALL - {"shop_time"}),
            ("packages/shop_gone/src/shop_gone/__init__.py", ALL),
            ("pyproject.toml", ALL),
            ("uv.lock", ALL),
            ("conftest.py", ALL),
            ("scripts/check", ALL),
            ("scripts/workspace.py", ALL),
            (".ci/run", ALL),
            ("tests/real_servers/src/real_servers/_redis.py", ALL),
            ("tests/budget/budget.py", ALL),
            ("tests/conformance/test_vectors.py", ALL),
            (".ci/passed", set()),
            ("tests/transport_faults/src/transport_faults/_site.py", set()),
            ("tests/test_docs.py", set()),
            ("tests/public_names.txt", set()),
            ("docs/memories.md", set()),
            ("examples/order_fulfilment/services.py", set()),
            ("benchmarks/load.py", set()),
            ("README.md", set()),
        ],
    )
    def test_a_file_touches_its_package_and_those_above(
        self, path: str, packages: set[str]
    ) -> None:
        assert workspace.touched([path], BELOW) == packages

    def test_several_files_touch_the_packages_of_each(self) -> None:
        changed = [
            "docs/memories.md",
            "packages/shop_time/src/a.py",
            "packages/shop_store/src/b.py",
        ]
        assert workspace.touched(changed, BELOW) == {"shop_time", "shop_store", "shop_app"}

    def test_no_package_reads_what_touches_none(self) -> None:
        """But for what its tests read, which the tests in `tests/` do as well."""
        outside = [
            Path(path).name for path in workspace._OF_NO_PACKAGE if path.endswith("_faults/")
        ]
        assert outside
        imports = re.compile(rf"^\s*(from|import) ({'|'.join(outside)})\b", re.M)
        files = (ROOT / "packages").glob("*/**/*.py")
        assert not [path for path in files if imports.search(path.read_text("utf-8"))]


class TestPathsToTest:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "packages" / "shop_core").mkdir(parents=True)
        (tmp_path / "tests" / "storm").mkdir(parents=True)
        for name in ("test_docs.py", "storm/test_report.py", "storm/queue.py"):
            (tmp_path / "tests" / name).touch()
        return tmp_path

    def test_packages_are_tested_as_a_whole(self, root: Path) -> None:
        changed = ["packages/shop_core/src/a.py", "packages/shop_core/README.md"]
        assert workspace.paths_to_test(changed, root) == ["packages/shop_core"]

    def test_packages_come_before_tests_that_span_them(self, root: Path) -> None:
        changed = ["packages/shop_core/src/a.py", "tests/test_docs.py"]
        assert workspace.paths_to_test(changed, root) == ["packages/shop_core"]

    def test_without_packages_the_changed_test_files_are_run(self, root: Path) -> None:
        changed = ["README.md", "tests/test_docs.py", "tests/storm/test_report.py", "tests/a.json"]
        found = workspace.paths_to_test(changed, root)
        assert found == ["tests/storm/test_report.py", "tests/test_docs.py"]

    def test_removed_files_are_left_out(self, root: Path) -> None:
        changed = ["packages/shop_gone/src/a.py", "tests/test_gone.py"]
        assert workspace.paths_to_test(changed, root) == []


class TestChangedFiles:
    """In temporary repositories: an unknown change is an error, never an empty result."""

    @pytest.fixture(autouse=True)
    def no_other_repository(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        # A git hook sets GIT_DIR and other variables to its own repository.
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "shop"
        root.mkdir()
        git(root, "init", "--quiet", "--initial-branch=main")
        commit(root, "core.py")
        return root

    def test_committed_and_uncommitted_changes_count(self, root: Path) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        commit(root, "committed.py")
        (root / "core.py").write_text("changed")
        (root / "new.py").write_text("new")
        assert workspace.changed_files(root) == ["committed.py", "core.py", "new.py"]

    def test_both_names_of_a_moved_file_count(self, root: Path) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        git(root, "mv", "core.py", "moved.py")
        assert workspace.changed_files(root) == ["core.py", "moved.py"]

    def test_commits_that_landed_since_do_not_count(self, root: Path) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        commit(root, "ours.py")
        git(root, "checkout", "--quiet", "main")
        commit(root, "theirs.py")
        git(root, "checkout", "--quiet", "topic")
        assert workspace.changed_files(root) == ["ours.py"]

    def test_the_change_is_unknown_on_a_commit_of_main(self, root: Path) -> None:
        with pytest.raises(workspace.UnknownChangeError, match="nothing differs from main"):
            workspace.changed_files(root)

    def test_the_change_is_known_on_a_branch(self, root: Path) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        commit(root, "ours.py")
        git(root, "checkout", "--quiet", "--detach")
        (root / "new.py").write_text("new")
        assert workspace.unproven_files(None, root) == ["new.py", "ours.py"]

    @pytest.mark.parametrize("branch", ["main", "topic"])
    def test_uncommitted_files_on_a_commit_of_main_do_not_hide_what_landed(
        self, root: Path, branch: str
    ) -> None:
        git(root, "checkout", "--quiet", "-B", branch)
        (root / "new.py").write_text("new")
        assert workspace.changed_files(root) == ["new.py"]
        with pytest.raises(workspace.UnknownChangeError, match="a commit of main"):
            workspace.unproven_files(None, root)

    def test_a_commit_that_has_passed_tells_what_landed_on_main_since(self, root: Path) -> None:
        commit(root, "first.py")
        commit(root, "second.py")
        (root / "new.py").write_text("new")
        found = workspace.unproven_files("HEAD^^", root)
        assert found == ["first.py", "new.py", "second.py"]

    def test_a_commit_of_another_branch_that_has_passed_counts_by_its_contents(
        self, root: Path
    ) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        commit(root, "ours.py")
        git(root, "checkout", "--quiet", "main")
        commit(root, "theirs.py")
        commit(root, "ours.py")
        assert workspace.unproven_files("topic", root) == ["theirs.py"]

    def test_the_same_commit_again_is_proven_again(self, root: Path) -> None:
        with pytest.raises(workspace.UnknownChangeError, match="nothing differs from HEAD"):
            workspace.unproven_files("HEAD", root)

    def test_a_commit_that_has_passed_and_is_not_here_is_an_error(self, root: Path) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        commit(root, "ours.py")
        with pytest.raises(workspace.UnknownChangeError, match="git rev-parse failed"):
            workspace.unproven_files("f" * 40, root)

    def test_the_change_is_unknown_on_an_older_commit_of_main(self, root: Path) -> None:
        commit(root, "later.py")
        git(root, "checkout", "--quiet", "HEAD^")
        with pytest.raises(workspace.UnknownChangeError, match="nothing differs from main"):
            workspace.changed_files(root)

    def test_the_change_is_unknown_without_main(self, root: Path) -> None:
        git(root, "branch", "--move", "trunk")
        with pytest.raises(workspace.UnknownChangeError, match="no main"):
            workspace.changed_files(root)

    def test_the_change_is_unknown_in_a_shallow_clone(self, root: Path) -> None:
        git(root, "checkout", "--quiet", "-b", "topic")
        commit(root, "ours.py")
        git(root, "checkout", "--quiet", "main")
        commit(root, "theirs.py")
        clone = root.with_name("clone")
        url = root.as_uri()
        git(root, "clone", "--quiet", "--depth=1", "--no-single-branch", url, str(clone))
        git(clone, "checkout", "--quiet", "topic")
        with pytest.raises(workspace.UnknownChangeError, match="too shallow"):
            workspace.changed_files(clone)

    def test_the_change_is_unknown_without_a_repository(self, tmp_path: Path) -> None:
        with pytest.raises(workspace.UnknownChangeError):
            workspace.changed_files(tmp_path)


def test_a_worker_that_is_killed_at_its_end_has_saved_its_coverage(tmp_path: Path) -> None:
    """As pytest-xdist kills one that takes more than ten seconds to exit."""
    for name, text in {
        "conftest.py": (ROOT / "conftest.py").read_text("utf-8"),
        "pyproject.toml": '[tool.coverage.run]\npatch = ["subprocess"]\nsource_pkgs = ["shop"]\n',
        "shop.py": "def price() -> int:\n    return 7\n",
        "test_shop.py": (
            "import atexit, os, signal, shop\n"
            "def test_price():\n"
            "    atexit.register(os.kill, os.getpid(), signal.SIGKILL)\n"
            "    assert shop.price() == 7\n"
        ),
    }.items():
        (tmp_path / name).write_text(text)

    def coverage(*arguments: str) -> str:
        command = [sys.executable, "-m", "coverage", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    assert "1 passed" in coverage("run", "-m", "pytest", "-n", "1")
    coverage("combine")
    assert coverage("report", "--format", "total") == "100\n"


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "check", *arguments], capture_output=True, text=True, check=False
    )


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, check=True)


def commit(root: Path, name: str) -> None:
    (root / name).write_text(name)
    git(root, "add", name)
    git(root, "commit", "--quiet", "--message", name)
