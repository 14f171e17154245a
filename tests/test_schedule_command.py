"""Commands find the schedules of a target, run them, and show them."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from real_servers.fixtures import (
    StartRedis,
    redis_flavour as redis_flavour,
    start_redis as start_redis,
)

from .workflow_command import TARGETS, Call, arvo as arvo, run as run, url as url

ALMANAC = TARGETS / "almanac"
PROGRAM = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"


def test_a_run_begins_it_and_it_is_listed_shown_fired_and_cancelled(
    arvo: Call, run: Call, url: str
) -> None:
    assert run("almanac", {"year": 7}, options=("--memory", url)).status == 0
    row = arvo("workflow", "list", "--json").row
    assert (row["key"], row["type"], row["status"], row["waits_for"]) == (
        *("almanac", "arvo.orc.schedule.almanac", "active"),
        ["timer"],
    )
    timer = arvo("workflow", "due", "--json").row
    assert (timer["key"], timer["name"]) == ("almanac", "planned")
    assert timer["at"].endswith("-01-01T05:00:00Z")

    fired = arvo("workflow", "fire", "almanac", "planned", ALMANAC)
    assert (fired.status, "active, waits for timer" in fired.out) == (0, True), fired.err
    next_year = arvo("workflow", "due", "--json").row["at"]
    assert int(next_year[:4]) == int(timer["at"][:4]) + 1
    shown = arvo("workflow", "show", "almanac").out
    assert re.search(r"^timers +planned  \d{4}-01-01 ", shown, re.M)
    assert "-> com.test.print " in shown
    assert "evt.test.print.success" in shown

    assert arvo("workflow", "cancel", "almanac", ALMANAC, "--reason", "enough").status == 0
    again = run("almanac", {"year": 8}, options=("--memory", url))
    assert again.status == 0
    assert "the schedule almanac was cancelled or has failed" in again.err
    assert arvo("workflow", "due", "--json").rows == []


def test_a_worker_runs_it(arvo: Call, url: str, start_redis: StartRedis, tmp_path: Path) -> None:
    over = ("--transport", f"{start_redis().url}?namespace={token_hex(4)}")
    words = [sys.executable, "-c", PROGRAM, "worker", ALMANAC, *over, "--memory", url]
    messages = tmp_path / "messages"
    with messages.open("w") as err, subprocess.Popen([*map(str, words)], stderr=err) as worker:
        try:
            _until(lambda: len(_timers(arvo)) == 1, messages.read_text)
            [first] = _timers(arvo)
            fired = arvo("workflow", "fire", "almanac", "planned", *over)
            assert fired.status == 0, fired.err
            _until(lambda: _timers(arvo) != [first], messages.read_text)
            printed = "evt.test.print.success"
            _until(lambda: printed in arvo("workflow", "show", "almanac").out, messages.read_text)
        finally:
            worker.terminate()
    assert worker.returncode == 0
    assert "WARNING" not in messages.read_text()


def _timers(arvo: Call) -> list[str]:
    """Return when timers are due; none where no worker has made the memory yet."""
    listed = arvo("workflow", "due", "--json")
    return [row["at"] for row in listed.rows] if listed.status == 0 else []


def _until(condition: Callable[[], bool], why: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
