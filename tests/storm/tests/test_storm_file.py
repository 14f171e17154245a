"""The storm itself: it passes a correct memory, and fails one with a bug."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from storm import Report, check_storm, run_storm

pytestmark = pytest.mark.alone


@pytest.mark.scaled
def test_a_correct_memory_loses_nothing(tmp_path: Path) -> None:
    check_storm(f"file://{tmp_path}")


def run_with(bugs: str, folder: Path, *, ttl: timedelta) -> Report:
    # Large enough that a bug loses about ten workflows; losing none is all but impossible.
    return run_storm(
        f"file://{folder}?{bugs}",
        workers=2,
        workflows=60,
        ttl=ttl,
        timeout=timedelta(seconds=25),
    )


def test_a_memory_without_lock_and_fence_fails(tmp_path: Path) -> None:
    report = run_with("lock=off&fence=off", tmp_path, ttl=timedelta(seconds=0.5))
    assert not report.ok, str(report)


LOST_LEASES = timedelta(milliseconds=2)  # far below what a step takes


def test_a_fence_makes_up_for_leases_that_expire(tmp_path: Path) -> None:
    report = run_with("renew=off", tmp_path, ttl=LOST_LEASES)
    assert report.ok, str(report)
    assert report.contended >= 1


def test_a_memory_without_fence_fails(tmp_path: Path) -> None:
    report = run_with("renew=off&fence=off", tmp_path, ttl=LOST_LEASES)
    assert not report.ok, str(report)


def test_the_exit_status_agrees_with_the_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "storm", "--workers", "1", "--workflows", "2", "--seed", "1"]
    quick = ["--kill-every", "60", "--think", "0", "--timeout"]
    done = subprocess.run(
        [*command, "--memory", f"file://{tmp_path}/right", *quick, "20"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "FAILED" in done.stdout) == (0, False)
    assert "2 workflows over file" in done.stdout
    failed = subprocess.run(
        [*command, "--memory", f"file://{tmp_path}/late", *quick, "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (failed.returncode, "FAILED" in failed.stdout) == (1, True)


def test_a_memory_that_cannot_be_opened_ends_the_storm(tmp_path: Path) -> None:
    report = run_storm(f"file://{tmp_path}?nonsense=off", workers=1, workflows=1)
    assert any("ended by themselves" in problem for problem in report.problems)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no machine memory for nonsense:; choose one of file:"):
        run_storm("nonsense:", workers=1, workflows=1)
