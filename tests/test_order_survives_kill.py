"""The example on a durable memory, killed on the way and started again on the same input."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from arvo_core import ArvoEvent
from order_fulfilment.ledger import Ledger

from .test_order_fulfilment import EXAMPLE, EXPECTED, FLAVOURS, Flavour, check_books, ending

FULL = os.environ.get("ARVO_FULL") == "1"
KILL_POINTS = (1, 20, 100, 200) if FULL else (1, 100)


def start(folder: Path, flavour: Flavour) -> subprocess.Popen[str]:
    # Its own interpreter without scripts of the environment, so that it is one process to kill.
    program = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [
            *(sys.executable, "-c", program, "run", str(EXAMPLE), "--flavour", flavour),
            *("--events", str(EXAMPLE / "orders.jsonl"), "--memory", "sqlite:///state.db"),
        ],
        cwd=folder,
        env={**os.environ, "ORDER_LEDGER": str(folder / "ledger.db")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def let_leases_run_out(folder: Path) -> None:
    """Save the next run its wait for what the killed one held; the full check does wait."""
    if not FULL:
        connection = sqlite3.connect(folder / "state.db", timeout=20)
        connection.execute("UPDATE machine SET lease_end = 0")
        connection.commit()
        connection.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_killed_runs_end_every_order_right_and_charge_once(
    tmp_path: Path, flavour: Flavour
) -> None:
    seen: list[str] = []
    for results in KILL_POINTS:
        process = start(tmp_path, flavour)
        assert process.stdout is not None
        seen += [process.stdout.readline() for _ in range(results)]
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        let_leases_run_out(tmp_path)

    process = start(tmp_path, flavour)
    out, _ = process.communicate()
    assert process.returncode == 3  # some lines of the file are bad on purpose
    answers = [ArvoEvent.from_json(line) for line in out.splitlines()]
    assert {answer.parentid: ending(answer) for answer in answers} == EXPECTED
    # What an earlier run answered, the last one answers too, and not otherwise.
    assert {ArvoEvent.from_json(line).id for line in seen} <= {answer.id for answer in answers}
    ledger = Ledger(tmp_path / "ledger.db")
    check_books(ledger)
    ledger.close()
