"""The example on a durable memory, killed on the way and started again on the same input."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from real_servers.fixtures import missing

from arvo_core import ArvoEvent
from order_fulfilment.ledger import Ledger
from real_servers import PostgresServer, ServerNotFoundError

from .test_order_fulfilment import EXAMPLE, EXPECTED, FLAVOURS, Flavour, check_books, ending

FULL = os.environ.get("ARVO_FULL") == "1"
KILL_POINTS = (1, 20, 100, 200) if FULL else (1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A durable memory for the example."""

    url: str
    """As `arvo run --memory` takes it, in the folder of the test."""
    end_leases: Callable[[], None]
    """Ends the leases of whoever was killed, before their time."""


@pytest.fixture(params=["sqlite", "postgres"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    if request.param == "sqlite":
        path = tmp_path / "state.db"
        yield Memory(url="sqlite:///state.db", end_leases=lambda: end_sqlite_leases(path))
        return
    try:
        with PostgresServer.start() as server:
            dsn = server.dsn
            yield Memory(url=dsn, end_leases=lambda: asyncio.run(end_postgres_leases(dsn)))
    except ServerNotFoundError as error:
        missing(error)


def end_sqlite_leases(path: Path) -> None:
    connection = sqlite3.connect(path, timeout=20)
    connection.execute("UPDATE machine SET lease_end = 0")
    connection.commit()
    connection.close()


async def end_postgres_leases(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE arvo.machines SET lease_until = clock_timestamp()")
    await connection.close()


def start(folder: Path, flavour: Flavour, memory: Memory) -> subprocess.Popen[str]:
    # Its own interpreter without scripts of the environment, so that it is one process to kill.
    program = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [
            *(sys.executable, "-c", program, "run", str(EXAMPLE), "--flavour", flavour),
            *("--events", str(EXAMPLE / "orders.jsonl"), "--memory", memory.url),
        ],
        cwd=folder,
        env={**os.environ, "ORDER_LEDGER": str(folder / "ledger.db")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_killed_runs_end_every_order_right_and_charge_once(
    tmp_path: Path, flavour: Flavour, memory: Memory
) -> None:
    seen: list[str] = []
    for results in KILL_POINTS:
        process = start(tmp_path, flavour, memory)
        assert process.stdout is not None
        seen += [process.stdout.readline() for _ in range(results)]
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        if not FULL:
            memory.end_leases()  # the full check waits until they run out

    process = start(tmp_path, flavour, memory)
    out, _ = process.communicate()
    assert process.returncode == 3  # some lines of the file are bad on purpose
    answers = [ArvoEvent.from_json(line) for line in out.splitlines()]
    assert {answer.parentid: ending(answer) for answer in answers} == EXPECTED
    # What an earlier run answered, the last one answers too, and not otherwise.
    assert {ArvoEvent.from_json(line).id for line in seen} <= {answer.id for answer in answers}
    ledger = Ledger(tmp_path / "ledger.db")
    check_books(ledger)
    ledger.close()
