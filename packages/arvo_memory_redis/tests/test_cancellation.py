"""A call that is cancelled at any of its awaits leaves record, lease and connection sound."""

import asyncio
import types
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from real_servers.fixtures import StartRedis

from arvo_event_handler.memory import LockPolicy, MachineLease, Record
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from real_servers import FaultProxy, RedisServer

from .clients import Connect, stored, subjects, url_of

# Only a lease that was given back becomes free within max_wait.
POLICY = LockPolicy(ttl=timedelta(minutes=5), max_wait=timedelta(seconds=10))
BEFORE: Record = {"count": 1}
AFTER: Record = {"count": 2}

Call = Callable[[RedisMachineMemory, str, MachineLease], Coroutine[Any, Any, object]]


@types.coroutine
def cancelled_at(number: int, call: Coroutine[Any, Any, object]) -> Generator[object, object, bool]:
    """Cancel the task when a call waits for the `number`-th time; return False if it never did."""
    resume: Callable[[Any], object] = call.send
    value: object = None
    for waits in count(1):
        try:
            awaited = resume(value)
        except StopIteration:
            return False
        if waits == number:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            value, resume = (yield awaited), call.send
        except BaseException as error:
            value, resume = error, call.throw
    raise AssertionError("a call that ends was asked for")


async def is_cancelled_at(number: int, call: Coroutine[Any, Any, object]) -> bool:
    async def run() -> bool:
        return await cancelled_at(number, call)

    (answer,) = await asyncio.gather(asyncio.ensure_future(run()), return_exceptions=True)
    if isinstance(answer, asyncio.CancelledError):
        return True
    assert answer is False, answer
    return False


async def scanned(memory: RedisMachineMemory) -> int:
    return len(await subjects(memory))


CALLS: dict[str, Call] = {
    "acquire": lambda memory, name, _: memory.acquire(name),
    "commit": lambda memory, _, lease: memory.commit(lease, record_write(AFTER)),
    "release": lambda memory, _, lease: memory.release(lease),
    "renew": lambda memory, _, lease: memory.renew(lease),
    "lock": lambda memory, name, _: memory.lock(name),
    "unlock": lambda memory, name, _: memory.unlock(name),
    "read": lambda memory, name, _: memory.read(name),
    "write": lambda memory, name, _: memory.write(name, AFTER, BEFORE),
    "cleanup": lambda memory, name, _: memory.cleanup(name),
    "scan": lambda memory, _, __: scanned(memory),
}
NEEDS_A_LEASE = {"commit", "release", "renew"}
MAY_HAVE_BECOME = {"commit": (2, AFTER), "write": (2, AFTER), "cleanup": None}


def slow_replies(server: RedisServer, proxy: FaultProxy) -> None:
    """The connection works, and each call waits for its reply."""
    proxy.delay = timedelta(milliseconds=1)


def broken_connections(server: RedisServer, proxy: FaultProxy) -> None:
    """The connection is broken, and the call makes another one."""
    server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.mark.parametrize("prepare", [slow_replies, broken_connections])
async def test_a_call_can_be_cancelled_at_each_of_its_awaits(
    connect_url: Connect,
    start_redis: StartRedis,
    prepare: Callable[[RedisServer, FaultProxy], None],
) -> None:
    server = start_redis()
    cancelled = Counter[str]()
    async with (
        FaultProxy.open(port=server.port) as proxy,
        # One connection: if it were lost, or held one reply too many, the next call would show it.
        connect_url(url_of(proxy), policy=POLICY, max_connections=1) as memory,
    ):
        for kind, call in CALLS.items():
            for number in count(1):
                name = f"{kind}-{number}"
                lease = await written(memory, name)
                if kind not in NEEDS_A_LEASE:
                    await memory.release(lease)
                prepare(server, proxy)
                if not await is_cancelled_at(number, call(memory, name, lease)):
                    break
                cancelled[kind] += 1
                await check(memory, kind, lease)
                await memory.cleanup(name)  # a scan waits for each of them
    assert cancelled.keys() == CALLS.keys()
    print(f"{cancelled.total()} awaits cancelled, nothing torn or kept: {dict(cancelled)}")  # noqa: T201 - the figure of the run


async def written(memory: RedisMachineMemory, name: str) -> MachineLease:
    await memory.write(name, BEFORE, None)
    lease = await memory.acquire(name)
    assert lease is not None
    return lease


async def check(memory: RedisMachineMemory, kind: str, lease: MachineLease) -> None:
    assert await stored(memory, lease.machine_id) in [
        (1, BEFORE),
        MAY_HAVE_BECOME.get(kind, (1, BEFORE)),
    ]
    if kind in NEEDS_A_LEASE:
        again = await CALLS[kind](memory, lease.machine_id, lease)
        assert again is (True if kind == "renew" else None)
        await memory.release(lease)
    after = await memory.acquire(lease.machine_id)
    assert after is not None, "a cancelled call kept the lease"
    if kind == "commit":
        assert (after.version, after.record) == (2, AFTER)
    await memory.release(after)
