"""What timers that wait cost. Run: python -m benchmarks.growth_pending."""

import asyncio
import gc
import sqlite3
import statistics
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import asyncpg
from redis.asyncio import Redis

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import ArvoResumable, Due, Emit, Reply, Start, Step, Timer
from arvo_event_handler.memory import ILeasedMachineMemory, NextTimer
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from benchmarks.calculator import ADD, ADD_V1, TOTAL, Add
from benchmarks.fan_out import answer, start
from benchmarks.servers import postgres_server, redis_server
from benchmarks.suite.memory import record_of
from benchmarks.workload import WrongResultError

_TIMERS = (0, 1, 16, 256)
_ROUNDS = 9
_ANSWERS = 200
_WORKFLOWS = 10_000
_TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

_RECORD = record_of(1_000)

Filling: TypeAlias = tuple[ILeasedMachineMemory, Callable[[], Awaitable[int]]]
"""An empty memory, and what tells how many bytes it takes."""
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Filling]]


def main() -> None:
    """Print the CPU time of an answer as timers wait, and the bytes of a waiting one."""
    asyncio.run(_print_all())


async def _print_all() -> None:
    for timers in _TIMERS:
        times = [await _seconds(timers) for _ in range(_ROUNDS)]
        print(
            f"an answer with {timers:3} timers pending: {statistics.median(times) * 1e6:6.1f} us"
            f" ({min(times) * 1e6:.1f} to {max(times) * 1e6:.1f})",
            flush=True,
        )
    for name, opened in (
        ("concurrent", _in_process),
        ("sqlite", _sqlite),
        ("postgres", _postgres),
        ("redis", _redis),
    ):
        print(f"a timer pending in {name}: {await _bytes_of_a_timer(opened):.0f} bytes", flush=True)


async def _seconds(timers: int) -> float:
    """Return the CPU time of one answer to a workflow with that many timers."""

    async def wait_v1(call: Start[Add] | Reply[Add] | Due[Add]) -> Step[Add]:
        if not isinstance(call, Start):
            return Step()
        requests = [Emit(ADD.type, Add(a=number, b=1)) for number in range(_ANSWERS)]
        waiting = [Timer(f"timer-{number}", at=_TOMORROW) for number in range(timers)]
        return Step(context=call.data, services=requests, timers=waiting)

    memory = ConcurrentMachineMemory()
    handler = ArvoResumable(
        contract=TOTAL, services=[ADD.version(ADD_V1)], memory=memory, handler={"1.0.0": wait_v1}
    )
    answers = [answer(request) for request in await handler.execute(start(_ANSWERS))]
    gc.collect()
    began = time.process_time()
    for each in answers:
        await handler.execute(each)
    return (time.process_time() - began) / len(answers)


async def _bytes_of_a_timer(opened: Opened) -> float:
    """Return by how much a workflow that waits for a time is larger than another."""
    sizes = []
    for timer in (None, NextTimer(at=_TOMORROW, key="payment#3f9c1d2ab4e5f607")):
        async with opened() as (memory, size):
            before = await size()
            for number in range(_WORKFLOWS):
                lease = await memory.acquire(f"order-{number:08}")
                if lease is None:
                    raise WrongResultError(f"order-{number:08} already has a holder")
                await memory.commit(lease, record_write(_RECORD, timer=timer))
            sizes.append(await size() - before)
    return (sizes[1] - sizes[0]) / _WORKFLOWS


@asynccontextmanager
async def _in_process() -> AsyncIterator[Filling]:
    async def size() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        yield ConcurrentMachineMemory(), size
    finally:
        tracemalloc.stop()


@asynccontextmanager
async def _sqlite() -> AsyncIterator[Filling]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"

        async def size() -> int:
            with closing(sqlite3.connect(path)) as connection:
                pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
                page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
            return pages * page_bytes

        async with SqliteMachineMemory.connect(path) as memory:
            yield memory, size


@asynccontextmanager
async def _postgres() -> AsyncIterator[Filling]:
    with postgres_server() as server:
        async with PostgresMachineMemory.connect(server.dsn) as memory:
            await memory.migrate()
            connection = await asyncpg.connect(server.dsn)

            async def size() -> int:
                await connection.execute("VACUUM FULL")
                return int(await connection.fetchval("SELECT pg_database_size(current_database())"))

            try:
                yield memory, size
            finally:
                await connection.close()


@asynccontextmanager
async def _redis() -> AsyncIterator[Filling]:
    with redis_server() as server:
        async with (
            RedisMachineMemory.connect(server.url) as memory,
            Redis.from_url(server.url) as client,
        ):

            async def size() -> int:
                return int((await client.info("memory"))["used_memory"])

            yield memory, size


if __name__ == "__main__":
    main()
