"""The example, killed while orders wait for people, and started again on the same input."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from arvo_core import ArvoEvent
from order_fulfilment.delays import DAY_SECONDS
from order_fulfilment.ledger import Ledger

from .test_order_fulfilment import EXAMPLE, FLAVOURS, Flavour
from .test_order_waits import ENDS, check_slow_books

FULL = os.environ.get("ARVO_FULL") == "1"
# At which step after the first tick a process is killed, counted in halves.
KILLED_AT = range(1, 13) if FULL else (1, 2, 5)

# Dies before or after a step of a workflow, counted in halves from the first tick on.
MORTAL = """
import os, signal, sys
from arvo_cli import main
from arvo_event_handler import ArvoOrchestrator, ArvoResumable

halves = None  # None before the first tick


def live():
    global halves
    if halves is not None:
        halves += 1
        if halves == int(os.environ["KILLED_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)


def make_mortal(kind):
    execute = kind.execute

    async def execute_or_die(self, event, **options):
        global halves
        if halves is None and event.type == "arvo.timer.due":
            halves = 0
        live()
        outputs = await execute(self, event, **options)
        live()
        return outputs

    kind.execute = execute_or_die


make_mortal(ArvoResumable)
make_mortal(ArvoOrchestrator)
sys.exit(main(sys.argv[1:]))
"""


def start(folder: Path, flavour: Flavour, *, killed_at: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-c", MORTAL, "run", str(EXAMPLE), "--flavour", flavour),
            *("--events", str(EXAMPLE / "slow_orders.jsonl"), "--memory", "sqlite:///state.db"),
            *("--wait", "60s"),
        ],
        cwd=folder,
        env={
            **os.environ,
            "ORDER_LEDGER": str(folder / "ledger.db"),
            # Longer than people who answer ever take here, also after a restart.
            DAY_SECONDS: "1",
            "KILLED_AT": str(killed_at),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def end_holds(folder: Path) -> None:
    """End the leases of a killed run and its claims on timers, so that the next need not wait."""
    with closing(sqlite3.connect(folder / "state.db", timeout=20)) as connection, connection:
        connection.execute("UPDATE machine SET lease_end = 0")
        connection.execute("UPDATE due SET ready_at = at")


def wait_for_people(folder: Path, flavour: Flavour, *, killed_at: int) -> list[ArvoEvent]:
    """Run the slow orders until all are closed, and return their final events.

    Args:
        folder: For memory and ledger.
        flavour: The kind of workflow.
        killed_at: At which half step after the first tick the process is killed, and started again;
            0 for not at all.
    """
    folder.mkdir()
    seen = ""
    if killed_at:
        process = start(folder, flavour, killed_at=killed_at)
        seen, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        end_holds(folder)
    process = start(folder, flavour, killed_at=0)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert {*seen.splitlines()} <= {*out.splitlines()}
    ledger = Ledger(folder / "ledger.db")
    check_slow_books(ledger)
    ledger.close()
    return [ArvoEvent.from_json(line) for line in out.splitlines()]


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_killed_while_orders_wait_for_people_it_ends_with_the_same_output(
    tmp_path: Path, flavour: Flavour
) -> None:
    """Killed when a timer is due, when its step is stored but not what follows from it published,
    and so on with the answers of people and services after it."""
    with ThreadPoolExecutor(4) as threads:
        runs = [
            threads.submit(wait_for_people, tmp_path / str(half), flavour, killed_at=half)
            for half in (0, *KILLED_AT)
        ]
    undisturbed, *killed = [run.result() for run in runs]
    for answers in (undisturbed, *killed):
        assert len(answers) == len(ENDS)
        assert data_of(answers) == data_of(undisturbed)


def data_of(answers: list[ArvoEvent]) -> dict[str | None, Any]:
    return {answer.parentid: answer.data for answer in answers}
