"""A storm in a process of its own, for tests."""

import os
import subprocess
import sys
from datetime import timedelta

from ._report import Report


def check_storm(
    memory: str, *, transport: str | None = None, timers: int = 0, seed: int = 1
) -> Report:
    """Assert that a machine memory loses nothing in a storm, and return the report.

    Two workers and 20 workflows; four and 500 when `ARVO_FULL` is 1, and then printed too. With
    timers, which are set up to a second ahead: 20 workflows, or 200 and up to five seconds.

    Args:
        memory: The machine memory, as a URL; an empty one.
        transport: As for `run_storm`. Its leases should last about a second.
        timers: As for `run_storm`.
        seed: The seed of all random choices.
    """
    if os.environ.get("ARVO_FULL") == "1":
        report = run_storm(
            memory,
            transport=transport,
            workflows=200 if timers else 500,
            timers=timers,
            within=timedelta(seconds=5),
            portions=6,
            seed=seed,
            timeout=timedelta(minutes=5),
        )
        print(report)  # noqa: T201
    else:
        report = run_storm(
            memory,
            transport=transport,
            workers=2,
            workflows=20,
            timers=timers,
            within=timedelta(seconds=1),
            portions=6,
            seed=seed,
            ttl=timedelta(seconds=0.5),
            # A timer that is claimed by one after the other that dies then waits for longer and longer.
            kill_every=timedelta(seconds=0.2 if timers else 0.08),
            timeout=timedelta(seconds=60 if timers else 25),
        )
    assert report.ok, str(report)
    assert report.completions == report.workflows
    # A storm that hit no worker would prove nothing.
    assert report.kills >= 3, str(report)
    assert report.freezes >= 1, str(report)
    assert report.redelivered >= 1, str(report)
    if transport is None and report.memory != "file":
        assert report.listings >= 3, str(report)
    return report


def run_storm(
    memory: str,
    *,
    transport: str | None = None,
    workers: int = 4,
    workflows: int = 500,
    timers: int = 0,
    within: timedelta = timedelta(seconds=20),
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
        transport: The transport between the workers, as a URL; None for a queue of the storm's own.
        workers: How many processes handle events.
        workflows: How many root workflows are started.
        timers: How many timers each of them waits for, of which about half are cancelled; with 0 they
            shop.
        within: How far ahead those are set at most.
        portions: In how many portions they are started, one after each kill, so that the storm lasts.
        seed: The seed of all random choices; the timing of the processes stays random.
        ttl: How long a lease lasts when its holder is gone.
        kill_every: The pause between two kills.
        think: The longest pause within a step.
        timeout: When to give up; what is not complete by then counts as lost.

    Raises:
        RuntimeError: It ended without a report.
    """
    durations = {
        "within": within,
        "ttl": ttl,
        "kill-every": kill_every,
        "think": think,
        "timeout": timeout,
    }
    numbers = {
        "workers": workers,
        "workflows": workflows,
        "portions": portions,
        "seed": seed,
        **({"timers": timers} if timers else {}),
    }
    options = {**numbers, **{name: each.total_seconds() for name, each in durations.items()}}
    command = [sys.executable, "-m", "storm", "--json", "--memory", memory]
    command += [] if transport is None else ["--transport", transport]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = Report.from_json(done.stdout)
    except ValueError:
        raise RuntimeError(f"the storm ended with {done.returncode}:\n{done.stderr}") from None
    if report.ok != (done.returncode == 0):
        raise RuntimeError(f"the storm ended with {done.returncode}, unlike its report:\n{report}")
    return report
