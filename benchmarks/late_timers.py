"""How late timers fire, and what looking for them costs. Run: python -m benchmarks.late_timers."""

import argparse
import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TypeAlias

import asyncpg
from pydantic import BaseModel
from redis.asyncio import Redis

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoOrchestratorContract, ArvoOrchestratorEventFactory, OrchestratorVersion
from arvo_event_handler import ArvoResumable, Complete, Due, Start, Step, Timer
from arvo_event_handler.memory import ITimedMachineMemory
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from benchmarks.servers import postgres_server, redis_server

_BROKERS = 4
_DAY = timedelta(days=1)
_TRANSACTIONS = """
SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
"""
_UNTIL_IT_RESTS = 35.0  # seconds; a pump that finds no timer looks for one for 30 seconds more

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[ITimedMachineMemory]]
"""Opens the memory of one more broker."""
Calls: TypeAlias = Callable[[], Awaitable[int]]
"""Counts the calls that the server has answered."""


class Wait(BaseModel):
    """How long a workflow waits, in seconds."""

    seconds: float


class Late(BaseModel):
    """How late its timer fired, in seconds."""

    seconds: float


WAIT_V1 = OrchestratorVersion("1.0.0", init=Wait, complete=Late)
WAIT = ArvoOrchestratorContract(uri="#/benchmarks/wait", name="wait", versions=[WAIT_V1])
_starts = ArvoOrchestratorEventFactory(WAIT.version(WAIT_V1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backend:
    open: Open
    calls: Calls | None = None
    """None where there is no server to ask."""


def main() -> None:
    """Print for each memory how late timers were, and how often an idle broker asks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timers", type=int, default=1000, help="how many workflows wait")
    parser.add_argument("--within", type=float, default=10, help="seconds that they are due within")
    parser.add_argument("--idle", type=float, default=60, help="seconds to count calls for")
    arguments = parser.parse_args()
    asyncio.run(_measure(arguments.timers, arguments.within, arguments.idle))


async def _measure(timers: int, within: float, idle: float) -> None:
    for name, backend in (
        ("concurrent", _in_process),
        ("sqlite", _sqlite),
        ("postgres", _postgres),
        ("redis", _redis),
    ):
        async with backend() as opened:
            _print_late(f"timers.late {name}", await _lateness(opened.open, timers, within))
            if opened.calls is None:
                continue
            without = await _idle_calls(opened.open, opened.calls, idle, pending=False)
            pending = await _idle_calls(opened.open, opened.calls, idle, pending=True)
            print(
                f"timers.idle {name}: {without:.2f} calls/s with no timer pending,"
                f" {pending:.2f} with one",
                flush=True,
            )
    await _measure_peer(timers, within)


async def _measure_peer(timers: int, within: float) -> None:
    try:
        from benchmarks.peers.dbos_sleep import lateness
    except ModuleNotFoundError:
        print("timers.peer: left out, as DBOS is not installed; `uv run --with dbos` brings it")
        return
    with postgres_server() as server:
        late = await lateness(server.dsn, timers=timers, within=within)
        _print_late("timers.peer DBOS on postgres", late)


def _print_late(name: str, late: list[float]) -> None:
    cuts = [1000 * cut for cut in quantiles(late, n=100)]
    print(f"{name}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms", flush=True)


async def _lateness(open_memory: Open, timers: int, within: float) -> list[float]:
    """Return how late each of the timers was, in seconds, with several brokers to fire them."""
    late: list[float] = []
    all_fired = asyncio.Event()

    async def wait_v1(call: Start[Wait] | Due[Wait]) -> Step[Wait]:
        if isinstance(call, Start):
            after = timedelta(seconds=call.data.seconds)
            return Step(context=call.data, timers=[Timer("due", after=after)])
        late.append((datetime.now(UTC) - call.at).total_seconds())
        if len(late) == timers:
            all_fired.set()
        return Step(output=Complete(Late(seconds=late[-1])))

    async with AsyncExitStack() as stack:
        brokers = [
            await stack.enter_async_context(_broker(open_memory, wait_v1)) for _ in range(_BROKERS)
        ]
        chance = random.Random(1)  # noqa: S311
        for number in range(timers):
            # The first ones leave time to set the last ones.
            seconds = chance.uniform(within / 2, within)
            start = _starts.init(source="com.benchmark.client", data=Wait(seconds=seconds))
            await brokers[number % len(brokers)].publish(start)
        async with asyncio.timeout(10 * within + 60):
            await all_fired.wait()
    return late


async def _idle_calls(open_memory: Open, calls: Calls, seconds: float, *, pending: bool) -> float:
    """Return how often one broker that has nothing to do asks the server, in calls per second."""

    async def wait_v1(call: Start[Wait] | Due[Wait]) -> Step[Wait]:
        return Step(timers=[Timer("due", after=_DAY)])

    async with _broker(open_memory, wait_v1) as broker:
        if pending:
            await broker.publish(_starts.init(source="com.benchmark.client", data=Wait(seconds=1)))
        await broker.wait_idle()
        await asyncio.sleep(_UNTIL_IT_RESTS)
        before = await calls()
        await asyncio.sleep(seconds)
        return (await calls() - before) / seconds


@asynccontextmanager
async def _broker(
    open_memory: Open, wait_v1: Callable[[Start[Wait] | Due[Wait]], Awaitable[Step[Wait]]]
) -> AsyncIterator[ConcurrentEventBroker]:
    async def ignore(_: object) -> None: ...

    async with open_memory() as memory:
        handler = ArvoResumable(
            contract=WAIT, services=[], memory=memory, handler={"1.0.0": wait_v1}
        )
        async with ConcurrentEventBroker([handler], on_unclaimed=ignore) as broker:
            yield broker


@asynccontextmanager
async def _in_process() -> AsyncIterator[_Backend]:
    memory = ConcurrentMachineMemory()

    @asynccontextmanager
    async def same() -> AsyncIterator[ITimedMachineMemory]:
        yield memory

    yield _Backend(open=same)


@asynccontextmanager
async def _sqlite() -> AsyncIterator[_Backend]:
    with TemporaryDirectory() as folder:
        yield _Backend(open=lambda: SqliteMachineMemory.connect(Path(folder) / "state.db"))


@asynccontextmanager
async def _postgres() -> AsyncIterator[_Backend]:
    with postgres_server() as server:
        async with PostgresMachineMemory.connect(server.dsn) as memory:
            await memory.migrate()
        connection = await asyncpg.connect(server.dsn)
        own = 0

        async def calls() -> int:
            nonlocal own
            transactions = await connection.fetchval(_TRANSACTIONS)
            own += 1
            return int(transactions) - own

        try:
            yield _Backend(open=lambda: PostgresMachineMemory.connect(server.dsn), calls=calls)
        finally:
            await connection.close()


@asynccontextmanager
async def _redis() -> AsyncIterator[_Backend]:
    with redis_server() as server:
        async with Redis.from_url(server.url) as client:

            async def calls() -> int:
                statistics = await client.info("commandstats")
                return sum(
                    entry["calls"]
                    for command, entry in statistics.items()
                    if command.startswith("cmdstat_evalsha")
                )

            yield _Backend(open=lambda: RedisMachineMemory.connect(server.url), calls=calls)


if __name__ == "__main__":
    main()
