"""What a step on Redis costs. Run: uv run python -m benchmarks --only redis."""

import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal

from hiredis import Reader
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_event_handler.memory import DueMachine, NextTimer, Record, RecordWrite, encode_record
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_redis._resp import encode_request
from benchmarks.pending_timers import SHORT_HOLD, claims, redis_timers
from benchmarks.servers import redis_server
from benchmarks.workload import Workload, benchmark
from real_servers import RedisServer

_RECORD: Record = {"status": "active", "note": "x" * 2000}
_BYTES = encode_record(_RECORD)
_STEP = record_write(_RECORD)
_TTL_MS = 30_000
_TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
_LATER = (timedelta(milliseconds=number) for number in count())
_AT_ONCE = 200

# The minimum for a lease and a fenced write, in as many round trips as the memory makes.
_TAKE = """
if not redis.call('SET', KEYS[1] .. ':owner', ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
return {redis.call('GET', KEYS[1])}
"""
_PUT = """
if redis.call('GET', KEYS[1] .. ':owner') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return redis.call('DEL', KEYS[1] .. ':owner')
"""

Step = Callable[[str], Awaitable[bool]]


@benchmark("memory.redis.c1")
async def memory_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Steps (acquire, commit) of one task, as `connect` makes them; the mark is 4 x naive.redis.c1.

    It is reached only where cores wake up quickly: such a step mostly waits for the server, twice.
    """
    async with _memory("auto") as step:
        yield _steps(step, tasks=1)


@benchmark("memory.redis.c50")
async def memory_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Steps of 50 tasks, as `connect` makes them: at least 8 x naive.redis.c50."""
    async with _memory("auto") as step:
        yield _steps(step, tasks=50)


@benchmark("memory.redis.timed.c50")
async def memory_with_timers_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Steps of 50 tasks, of which each moves a timer: at least 0.85 of memory.redis.c50."""
    async with _memory("auto", timed=True) as step:
        yield _steps(step, tasks=50)


@benchmark("memory.redis.redis_py.c1")
async def memory_through_redis_py_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Steps of one task through redis-py, at least 0.8 of limit.redis.c1."""
    async with _memory("redis-py") as step:
        yield _steps(step, tasks=1)


@benchmark("memory.redis.redis_py.c50")
async def memory_through_redis_py_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Steps of 50 tasks through redis-py, at least 0.8 of limit.redis.c50."""
    async with _memory("redis-py") as step:
        yield _steps(step, tasks=50)


@benchmark("timers.redis.claim")
async def claims_of_timers() -> AsyncIterator[Workload[int, Sequence[DueMachine]]]:
    """Timers claimed, a hundred at a time, of 100,000 that are due."""
    async with redis_timers(100_000) as memory:
        yield claims(memory, hold=SHORT_HOLD)


@benchmark("limit.redis.c1")
async def limit_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Two scripts by one task on the bare driver: what a memory cannot exceed."""
    async with _client() as client:
        yield _steps(await _two_scripts(client), tasks=1)


@benchmark("limit.redis.c50")
async def limit_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Two scripts by 50 tasks on the bare driver."""
    async with _client() as client:
        yield _steps(await _two_scripts(client), tasks=50)


@benchmark("naive.redis.c1")
async def naive_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Lock, read, write, unlock by one task, one command each."""
    async with _client() as client:
        yield _steps(_four_commands(client), tasks=1)


@benchmark("naive.redis.c50")
async def naive_by_fifty() -> AsyncIterator[Workload[str, bool]]:
    """Lock, read, write, unlock by 50 tasks, one command each."""
    async with _client() as client:
        yield _steps(_four_commands(client), tasks=50)


@benchmark("peer.redis.lock.c1")
async def lock_by_one() -> AsyncIterator[Workload[str, bool]]:
    """Read and write under the driver's own Lock, by one task; it has no fence."""
    async with _client() as client:
        yield _steps(_under_lock(client), tasks=1)


@benchmark("limit.redis.server")
async def limit_of_the_server() -> AsyncIterator[Workload[bytes, list[object]]]:
    """Steps that the server itself can take: the scripts of limit.redis, written ahead.

    What memory.redis.c50 reaches of it is its share of the server's limit.
    """
    with (
        redis_server() as server,
        socket.create_connection((server.host, server.port)) as connection,
    ):
        requests = _written_ahead(server)
        yield Workload(
            inputs=lambda n: [requests] * n,
            operation=lambda written: _replies(connection, written),
            check=lambda replies: replies[-1] == 1 and len(replies) == 2 * _AT_ONCE,
            units=_AT_ONCE,
        )


@asynccontextmanager
async def _memory(
    transport: Literal["auto", "redis-py"], *, timed: bool = False
) -> AsyncIterator[Step]:
    with redis_server() as server:
        async with RedisMachineMemory.connect(server.url, transport=transport) as memory:

            async def step(machine_id: str) -> bool:
                lease = await memory.acquire(machine_id)
                if lease is None:
                    return False
                await memory.commit(lease, _timed_step() if timed else _STEP)
                return True

            yield step


@asynccontextmanager
async def _client() -> AsyncIterator[Redis]:
    with redis_server() as server:
        retry = Retry(NoBackoff(), 0)
        pool = BlockingConnectionPool.from_url(server.url, max_connections=50, retry=retry)
        client = Redis.from_pool(pool)
        try:
            yield client
        finally:
            await client.aclose()


def _timed_step() -> RecordWrite:
    """Return a step that moves a timer to where no other one was."""
    return record_write(_RECORD, timer=NextTimer(at=_TOMORROW + next(_LATER), key="payment#1"))


async def _two_scripts(client: Redis) -> Step:
    take, put = await client.script_load(_TAKE), await client.script_load(_PUT)

    async def step(machine_id: str) -> bool:
        owner = secrets.token_hex(16)
        await client.evalsha(take, 1, machine_id, owner, _TTL_MS)
        return bool(await client.evalsha(put, 1, machine_id, owner, _BYTES))

    return step


def _four_commands(client: Redis) -> Step:
    async def step(machine_id: str) -> bool:
        await client.set(f"{machine_id}:owner", secrets.token_hex(16), nx=True, px=_TTL_MS)
        await client.get(machine_id)
        await client.set(machine_id, _BYTES)
        return bool(await client.delete(f"{machine_id}:owner"))

    return step


def _under_lock(client: Redis) -> Step:
    async def step(machine_id: str) -> bool:
        async with client.lock(f"{machine_id}:owner", timeout=_TTL_MS / 1000):
            await client.get(machine_id)
            return bool(await client.set(machine_id, _BYTES))

    return step


def _written_ahead(server: RedisServer) -> bytes:
    take, put = (str(server.command("SCRIPT", "LOAD", script)) for script in (_TAKE, _PUT))
    requests: list[bytes] = []
    for number in range(_AT_ONCE):
        machine_id, owner = f"order-{number}", secrets.token_hex(16)
        requests += [
            encode_request(("EVALSHA", take, 1, machine_id, owner, _TTL_MS)),
            encode_request(("EVALSHA", put, 1, machine_id, owner, _BYTES)),
        ]
    return b"".join(requests)


def _replies(connection: socket.socket, requests: bytes) -> list[object]:
    connection.sendall(requests)
    reader, replies = Reader(), list[object]()
    while len(replies) < 2 * _AT_ONCE:
        reader.feed(connection.recv(262_144))
        while (reply := reader.gets()) is not False:
            replies.append(reply)
    return replies


def _steps(step: Step, *, tasks: int) -> Workload[str, bool]:
    numbers = count()

    async def run(machine_id: str) -> bool:
        return await step(machine_id)

    # More workflows than tasks, so that no two meet in one.
    return Workload(
        inputs=lambda n: [f"order-{next(numbers) % 1000}" for _ in range(n)],
        operation=run,
        check=lambda done: done,
        concurrency=tasks,
    )
