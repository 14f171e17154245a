"""A storm in a process of its own, for tests."""

import os
import subprocess
import sys
from datetime import timedelta

from ._report import Report


def check_storm(memory: str, *, seed: int = 1) -> Report:
    """Assert that a machine memory loses nothing in a storm, and return the report.

    Two workers and 20 workflows; four and 500 when `ARVO_FULL` is 1, and then printed too.

    Args:
        memory: The machine memory, as a URL; an empty one.
        seed: For everything random.
    """
    if os.environ.get("ARVO_FULL") == "1":
        report = run_storm(memory, portions=6, seed=seed, timeout=timedelta(minutes=5))
        print(report)  # noqa: T201
    else:
        report = run_storm(
            memory,
            workers=2,
            workflows=20,
            portions=6,
            seed=seed,
            ttl=timedelta(seconds=0.5),
            kill_every=timedelta(seconds=0.08),
            timeout=timedelta(seconds=25),
        )
    assert report.ok, str(report)
    assert report.completions == report.workflows
    # A storm that hit no worker would prove nothing.
    assert report.kills >= 3, str(report)
    assert report.freezes >= 1, str(report)
    assert report.redelivered >= 1, str(report)
    return report


def run_storm(
    memory: str,
    *,
    workers: int = 4,
    workflows: int = 500,
    portions: int = 1,
    seed: int = 1,
    ttl: timedelta = timedelta(seconds=1),
    kill_every: timedelta = timedelta(seconds=0.3),
    think: timedelta = timedelta(seconds=0.02),
    timeout: timedelta = timedelta(minutes=10),
) -> Report:
    """Run `python -m storm` and return its report, even if it failed.

    Args:
        memory: The machine memory, as a URL; an empty one.
        workers: How many processes handle events.
        workflows: How many root workflows are started.
        portions: In how many portions they are started, one after each kill, so that the storm lasts.
        seed: For everything random except the timing of the processes.
        ttl: How long a lease lasts when its holder is gone.
        kill_every: The pause between two kills.
        think: The longest pause within a step.
        timeout: When to give up; what is not complete by then counts as lost.

    Raises:
        RuntimeError: It ended without a report.
    """
    durations = {"ttl": ttl, "kill-every": kill_every, "think": think, "timeout": timeout}
    numbers = {
        "workers": workers,
        "workflows": workflows,
        "portions": portions,
        "seed": seed,
    }
    options = {**numbers, **{name: each.total_seconds() for name, each in durations.items()}}
    command = [sys.executable, "-m", "storm", "--json", "--memory", memory]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = Report.from_json(done.stdout)
    except ValueError:
        raise RuntimeError(f"the storm ended with {done.returncode}:\n{done.stderr}") from None
    if report.ok != (done.returncode == 0):
        raise RuntimeError(f"the storm ended with {done.returncode}, unlike its report:\n{report}")
    return report
