"""The example on a durable memory, killed during the run and started again on the same input."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from real_servers.fixtures import missing

from arvo_core import ArvoEvent
from order_fulfilment.ledger import Ledger
from real_servers import PostgresServer, RedisServer, ServerNotFoundError

from .test_order_fulfilment import EXAMPLE, EXPECTED, FLAVOURS, Flavour, check_books, ending

FULL = os.environ.get("ARVO_FULL") == "1"
KILL_POINTS = (1, 20, 100, 200) if FULL else (1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of a run, which the next one finds again."""

    url: str
    """For `arvo run --memory`, relative to the folder of the test."""
    end_leases: Callable[[], object]
    """Ends the leases of a killed run, so that the next one need not wait for them."""


@contextmanager
def sqlite_memory(folder: Path) -> Iterator[Memory]:
    def end_leases() -> None:
        connection = sqlite3.connect(folder / "state.db", timeout=20)
        connection.execute("UPDATE machine SET lease_end = 0")
        connection.commit()
        connection.close()

    yield Memory(url="sqlite:///state.db", end_leases=end_leases)


END_LEASES = """
for _, key in ipairs(redis.call('KEYS', '*}m:*')) do
    if redis.call('HEXISTS', key, 'owner') == 1 then redis.call('HSET', key, 'lease_end', 0) end
end
"""


@contextmanager
def redis_memory(folder: Path) -> Iterator[Memory]:
    with RedisServer.start() as server:
        yield Memory(url=server.url, end_leases=lambda: server.command("EVAL", END_LEASES, 0))


@contextmanager
def postgres_memory(folder: Path) -> Iterator[Memory]:
    async def end_leases(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE arvo.machines SET lease_until = clock_timestamp()")
        await connection.close()

    with PostgresServer.start() as server:
        yield Memory(url=server.dsn, end_leases=lambda: asyncio.run(end_leases(server.dsn)))


@pytest.fixture(params=[sqlite_memory, redis_memory, postgres_memory])
def memory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Memory]:
    with ExitStack() as stack:
        try:
            memory: Memory = stack.enter_context(request.param(tmp_path))
        except ServerNotFoundError as error:
            missing(error)
        yield memory


def start(folder: Path, flavour: Flavour, memory: Memory) -> subprocess.Popen[str]:
    # An interpreter of its own, without a script that starts it, so that one process is to be killed.
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


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_killed_runs_end_every_order_as_expected_and_charge_once(
    tmp_path: Path, flavour: Flavour, memory: Memory
) -> None:
    seen: list[str] = []
    # Only here does the full check wait until leases expire, once, as that takes half a minute.
    waits_after = KILL_POINTS[-1] if FULL and memory.url.startswith("sqlite:") else None
    for results in KILL_POINTS:
        process = start(tmp_path, flavour, memory)
        assert process.stdout is not None
        seen += [process.stdout.readline() for _ in range(results)]
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        if results != waits_after:
            memory.end_leases()

    process = start(tmp_path, flavour, memory)
    out, _ = process.communicate()
    assert process.returncode == 3  # some lines of the file are bad on purpose
    answers = [ArvoEvent.from_json(line) for line in out.splitlines()]
    assert {answer.parentid: ending(answer) for answer in answers} == EXPECTED
    # The last run gives the same answers as the earlier ones.
    assert {ArvoEvent.from_json(line).id for line in seen} <= {answer.id for answer in answers}
    ledger = Ledger(tmp_path / "ledger.db")
    check_books(ledger)
    ledger.close()
