"""Replies get lost, scripts are flushed, servers die: no commit is lost and none happens twice."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import LockPolicy, RecordWrite
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from real_servers import FaultProxy

from .aging import make_older
from .clients import BUSY_MACHINE, Connect, leased, stored, url_of

FULL = os.environ.get("ARVO_FULL") == "1"
INSTANTS = 200 if FULL else 20
TASKS = 200 if FULL else 50
QUICK = LockPolicy(max_wait=timedelta(milliseconds=100), max_delay=timedelta(milliseconds=20))


@asynccontextmanager
async def through_proxy(
    connect_url: Connect,
    start_redis: StartRedis,
) -> AsyncIterator[tuple[RedisMachineMemory, FaultProxy]]:
    server = start_redis()
    async with (
        FaultProxy.open(port=server.port) as proxy,
        connect_url(url_of(proxy), policy=QUICK, max_connections=4) as memory,
    ):
        yield memory, proxy


def write_of(version: int) -> RecordWrite:
    """Return a write with a chunk, of which every fifth one frees those before."""
    return record_write(
        {"count": version},
        tail=b"tail of %d" % version,
        chunk=b"%d" % version,
        frees="none" if version % 5 else "earlier",
    )


def chunks_of(version: int) -> list[tuple[int, bytes]]:
    """Return the chunks that are stored after the write of a version."""
    first = max(version // 5 * 5, 1)
    return [(number, b"%d" % number) for number in range(first, version + 1)]


class TestLostReplies:
    async def test_a_commit_whose_reply_is_lost_happens_once(
        self, connect_url: Connect, start_redis: StartRedis
    ) -> None:
        async with through_proxy(connect_url, start_redis) as (memory, proxy):
            await memory.commit(await leased(memory), record_write({"count": 1}))
            lease = await leased(memory)
            fault = proxy.lose_next_reply()
            await memory.commit(lease, record_write({"count": 2}))
            assert fault.happened.is_set()
            found = await stored(memory, "order-7")
            assert found is not None
            assert (found.version, found.record) == (2, {"count": 2})

    async def test_an_acquire_whose_reply_is_lost_is_granted(
        self, connect_url: Connect, start_redis: StartRedis
    ) -> None:
        async with through_proxy(connect_url, start_redis) as (memory, proxy):
            await memory.release(await leased(memory))
            fault = proxy.lose_next_reply()
            lease = await leased(memory)
            assert fault.happened.is_set()
            await memory.commit(lease, record_write({"count": 1}))

    async def test_a_renewal_and_a_release_whose_replies_are_lost_happen(
        self, connect_url: Connect, start_redis: StartRedis
    ) -> None:
        async with through_proxy(connect_url, start_redis) as (memory, proxy):
            lease = await leased(memory)
            for call in (memory.renew, memory.release):
                fault = proxy.lose_next_reply()
                assert await call(lease) in (True, None)
                assert fault.happened.is_set()
            await leased(memory)

    async def test_a_lock_whose_reply_is_lost_is_taken_once(
        self, connect_url: Connect, start_redis: StartRedis
    ) -> None:
        async with through_proxy(connect_url, start_redis) as (memory, proxy):
            fault = proxy.lose_next_reply()
            assert await memory.lock("order-7")
            assert fault.happened.is_set()
            assert not await memory.lock("order-7")

    async def test_a_write_whose_reply_is_lost_happens_once(
        self, connect_url: Connect, start_redis: StartRedis
    ) -> None:
        async with through_proxy(connect_url, start_redis) as (memory, proxy):
            fault = proxy.lose_next_reply(containing=b'"count":1')
            await memory.write("order-7", {"count": 1}, None)
            assert fault.happened.is_set()
            found = await stored(memory, "order-7")
            assert found is not None
            assert found.version == 1

    @pytest.mark.alone
    @pytest.mark.scaled
    async def test_no_commit_is_lost_or_doubled_at_any_instant(
        self, connect_url: Connect, start_redis: StartRedis
    ) -> None:
        """Requests and replies are cut anywhere; without a reply, the test reads the outcome."""
        random = Random(7)
        cuts = 0
        async with through_proxy(connect_url, start_redis) as (memory, proxy):
            version = 0
            while cuts < INSTANTS:
                if random.random() < 0.5:
                    fault = proxy.lose_next_request(
                        after=random.randrange(4), n_bytes=random.randrange(120)
                    )
                else:
                    fault = proxy.cut_reply_after(random.randrange(8), after=random.randrange(4))
                while not fault.happened.is_set():
                    lease = await leased(memory)
                    assert lease.version == version
                    assert lease.record == (None if version == 0 else {"count": version})
                    assert lease.tail == (b"" if version == 0 else b"tail of %d" % version)
                    assert list(lease.chunks) == chunks_of(version)
                    await memory.commit(lease, write_of(version + 1))
                    version += 1
                cuts += 1
        print(f"{cuts} cuts, {version} commits, none lost, none doubled")  # noqa: T201 - the figure of the run


async def test_scripts_that_are_flushed_between_calls_are_sent_again(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    server = start_redis()
    async with connect_url(server.url, policy=QUICK) as memory:
        for count in range(5):
            server.command("SCRIPT", "FLUSH")
            lease = await leased(memory)
            server.command("SCRIPT", "FLUSH")
            assert await memory.renew(lease)
            server.command("SCRIPT", "FLUSH")
            await memory.commit(lease, record_write({"count": count}))
        assert (await leased(memory)).version == 5
    print("15 flushes of the scripts, 5 commits, none lost")  # noqa: T201 - the figure of the run


@pytest.mark.alone
async def test_every_acknowledged_commit_survives_a_killed_server(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    server = start_redis(appendfsync="always")
    acknowledged: dict[str, int] = {}
    enough = asyncio.Event()

    async def work(memory: RedisMachineMemory, machine_id: str) -> None:
        while True:
            lease = await leased(memory, machine_id)
            await memory.commit(lease, write_of(lease.version + 1))
            acknowledged[machine_id] = lease.version + 1
            if sum(acknowledged.values()) >= 200:
                enough.set()

    async with connect_url(server.url, policy=QUICK) as memory:
        workers = [asyncio.ensure_future(work(memory, f"order-{each}")) for each in range(10)]
        await enough.wait()
        server.kill()
        failures = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(each, MachineMemoryError) for each in failures), failures
        server.restart()
        async with Redis.from_url(server.url) as client:
            await make_older(client, "arvo:", QUICK.ttl)
        for machine_id, count in acknowledged.items():
            found = await stored(memory, machine_id)
            assert found is not None
            # One more may have been written whose reply did not arrive.
            assert found.version in (count, count + 1)
            assert found.record == {"count": found.version}
            lease = await leased(memory, machine_id)
            assert lease.tail == b"tail of %d" % found.version
            assert list(lease.chunks) == chunks_of(found.version)
    print(f"{sum(acknowledged.values())} commits acknowledged before SIGKILL, all are there")  # noqa: T201 - the figure of the run


async def test_a_call_to_a_server_that_is_gone_has_failed(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    server = start_redis()
    async with connect_url(server.url, policy=QUICK) as memory:
        lease = await leased(memory)
        server.kill()
        await asyncio.gather(memory.read("order-7"), return_exceptions=True)
        with pytest.raises(MachineMemoryError) as caught:
            await memory.commit(lease, record_write({"count": 1}))
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")


async def test_a_commit_without_an_answer_has_an_unknown_outcome(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    async with through_proxy(connect_url, start_redis) as (memory, proxy):
        await memory.commit(await leased(memory), record_write({"count": 0}))
        lease = await leased(memory)
        for _ in range(3):
            proxy.lose_next_reply(containing=lease.owner.encode())
        with pytest.raises(MachineMemoryError) as caught:
            await memory.commit(lease, record_write({"count": 1}))
        assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        assert await memory.read("order-7") == {"count": 1}
        await memory.commit(lease, record_write({"count": 1}))


@pytest.mark.scaled
async def test_of_many_tasks_on_one_workflow_each_version_is_committed_once(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    committed: list[int] = []

    async def add(memory: RedisMachineMemory) -> None:
        while True:
            lease = await memory.acquire("order-7")
            if lease is None:
                continue
            try:
                await memory.commit(lease, record_write({"count": lease.version + 1}))
            except TransactionViolation:
                continue
            committed.append(lease.version + 1)
            return

    async with connect_url(redis_url, prefix=prefix, socket_timeout=BUSY_MACHINE) as memory:
        await asyncio.gather(*(add(memory) for _ in range(TASKS)))
        assert await memory.read("order-7") == {"count": TASKS}
    assert committed == list(range(1, TASKS + 1))
    print(f"{TASKS} tasks on one workflow, {len(committed)} versions, each committed once")  # noqa: T201 - the figure of the run


HOLDER = """
import asyncio, sys
from datetime import timedelta
from arvo_event_handler import TransactionViolation
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory


async def main(url, prefix, transport):
    policy = LockPolicy(ttl=timedelta(milliseconds=300))
    async with RedisMachineMemory.connect(
        url, prefix=prefix, policy=policy, transport=transport
    ) as memory:
        lease = await memory.acquire("order-7")
        print("held", flush=True)
        sys.stdin.readline()
        try:
            await memory.commit(lease, record_write({"by": "holder"}))
        except TransactionViolation as violation:
            print(violation.cause.name, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_commit_of_a_holder_stopped_past_its_ttl_is_refused(
    connect_url: Connect, transport: str, redis_url: str, prefix: str
) -> None:
    holder = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", HOLDER, redis_url, prefix, transport],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        async with connect_url(redis_url, prefix=prefix) as memory:
            await memory.commit(await leased(memory), record_write({"by": "taker"}))
            holder.send_signal(signal.SIGCONT)
            holder.stdin.write(b"\n")
            assert await holder.stdout.readline() == b"VERSION_MOVED\n"
            assert await memory.read("order-7") == {"by": "taker"}
            print("1 holder stopped past its ttl, 1 commit refused")  # noqa: T201 - the figure of the run
    finally:
        holder.stdin.close()
        if holder.returncode is None:
            holder.kill()
        await holder.wait()
