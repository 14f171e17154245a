"""The example on a durable memory, killed on the way and started again on the same input."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_servers.fixtures import missing

from arvo_core import ArvoEvent
from order_fulfilment.ledger import Ledger
from real_servers import RedisServer, ServerNotFoundError

from .test_order_fulfilment import EXAMPLE, EXPECTED, FLAVOURS, Flavour, check_books, ending

FULL = os.environ.get("ARVO_FULL") == "1"
KILL_POINTS = (1, 20, 100, 200) if FULL else (1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where a run keeps its state, so that the next one finds it."""

    url: str
    let_leases_run_out: Callable[[], object]
    """Saves the next run its wait for what the killed one held."""


@contextmanager
def sqlite_memory(folder: Path) -> Iterator[Memory]:
    def let_leases_run_out() -> None:
        connection = sqlite3.connect(folder / "state.db", timeout=20)
        connection.execute("UPDATE machine SET lease_end = 0")
        connection.commit()
        connection.close()

    yield Memory(url="sqlite:///state.db", let_leases_run_out=let_leases_run_out)


END_LEASES = """
for _, key in ipairs(redis.call('KEYS', '*')) do
    if redis.call('HEXISTS', key, 'owner') == 1 then redis.call('HSET', key, 'lease_end', 0) end
end
"""


@contextmanager
def redis_memory(folder: Path) -> Iterator[Memory]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(RedisServer.start())
        except ServerNotFoundError as error:
            missing(error)
        yield Memory(
            url=server.url, let_leases_run_out=lambda: server.command("EVAL", END_LEASES, 0)
        )


@pytest.fixture(params=[sqlite_memory, redis_memory])
def memory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Memory]:
    with request.param(tmp_path) as memory:
        yield memory


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
        if not FULL:  # the full check does wait
            memory.let_leases_run_out()

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
