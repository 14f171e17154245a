"""How the index of timers is stored, shared and mended; the suites test what callers see of it."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import UNCHANGED, LockPolicy, NextTimer, Unchanged
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory, _due_scripts
from arvo_redis import Script
from real_servers import FaultProxy

from .aging import make_older
from .clients import BUSY_MACHINE, Connect, leased, url_of

INSTANTS = 200 if os.environ.get("ARVO_FULL") == "1" else 20
PAST = datetime(2020, 2, 29, 23, 59, 59, 7000, UTC)
FUTURE = datetime(2999, 12, 31, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUICK = LockPolicy(max_wait=timedelta(seconds=10), max_delay=timedelta(milliseconds=20))


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def memory(client: Redis, prefix: str) -> RedisMachineMemory:
    return RedisMachineMemory(client, prefix=prefix)


async def step(
    memory: RedisMachineMemory,
    timer: NextTimer | Unchanged | None = UNCHANGED,
    *,
    machine_id: str = "order-7",
    expires_in: timedelta | None = None,
) -> None:
    write = record_write({}, timer=timer, expires_in=expires_in)
    await memory.commit(await leased(memory, machine_id), write)


async def members(client: Redis, prefix: str) -> int:
    """Return how many workflows are in the index."""
    keys = [key async for key in client.scan_iter(match=f"{{{prefix}[0-9]*}}due")]
    return sum([await client.zcard(key) for key in keys])


@pytest.mark.parametrize("was_due", [False, True])
async def test_a_claim_drops_what_is_gone(
    client: Redis, prefix: str, memory: RedisMachineMemory, *, was_due: bool
) -> None:
    """A hash that expires, or that somebody deletes, leaves its member behind."""
    now_or_never = NextTimer(at=PAST if was_due else FUTURE, key="pay#1")
    for number in range(20):
        await step(memory, now_or_never, machine_id=f"gone-{number}")
        await client.unlink(memory._keys.machine(f"gone-{number}"))
    await step(memory, NextTimer(at=PAST, key="pay#2"))
    assert await memory.next_due() == PAST
    claimed = await memory.claim_due(limit=30, hold=MINUTE)
    assert [(each.machine_id, each.key) for each in claimed] == [("order-7", "pay#2")]
    assert await members(client, prefix) == (1 if was_due else 21)


async def test_many_that_are_gone_are_dropped_a_part_at_a_time(
    client: Redis, prefix: str, memory: RedisMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server must not be busy with them for long."""
    bounded = _due_scripts.CLAIM.source.replace("handled == 1000", "handled == 5")
    assert bounded != _due_scripts.CLAIM.source
    monkeypatch.setattr(_due_scripts, "CLAIM", Script(name="claim", source=bounded))
    for number in range(12):
        await step(memory, NextTimer(at=PAST, key="pay#1"), machine_id=f"order-{number}")
        if number % 3:
            await client.unlink(memory._keys.machine(f"order-{number}"))
    claimed = await memory.claim_due(limit=30, hold=MINUTE)
    assert {each.machine_id for each in claimed} == {f"order-{number}" for number in (0, 3, 6, 9)}
    assert await members(client, prefix) == 4


async def test_next_due_passes_over_a_few_that_are_gone(
    client: Redis, memory: RedisMachineMemory
) -> None:
    """Of one hash tag; for many of them, one stands until it is dropped when it is due."""
    due = memory._keys.due("7")
    await client.zadd(due, {f"{number:032x}": 10 * number for number in range(8)})
    assert await memory.next_due() is None
    await client.zadd(due, {"f" * 32: 90})
    assert await memory.next_due() == datetime.fromtimestamp(0, UTC) + timedelta(microseconds=90)
    assert await memory.claim_due(limit=1, hold=MINUTE) == []
    assert await memory.next_due() is None


@pytest.mark.parametrize("damage", [{"due_at": "soon"}, {"due_claims": "nan"}, {"due_key": None}])
async def test_a_damaged_timer_does_not_keep_others_from_being_claimed(
    client: Redis,
    memory: RedisMachineMemory,
    damage: dict[str, str | None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for machine_id in ["damaged", "sound"]:
        await step(memory, NextTimer(at=PAST, key="pay#1"), machine_id=machine_id)
    for field, value in damage.items():
        key = memory._keys.machine("damaged")
        await (client.hdel(key, field) if value is None else client.hset(key, field, value))
    claimed = await memory.claim_due(limit=5, hold=MINUTE)
    if "due_claims" in damage:
        assert {(each.machine_id, each.claims) for each in claimed} == {
            ("damaged", 1),
            ("sound", 1),
        }
        return
    assert [each.machine_id for each in claimed] == ["sound"]
    assert ["leaves out a timer that is damaged" in each for each in caplog.messages] == [True]


async def test_a_workflow_that_is_no_hash_is_dropped(
    client: Redis, prefix: str, memory: RedisMachineMemory
) -> None:
    await step(memory, NextTimer(at=PAST, key="pay#1"))
    await client.set(memory._keys.machine("order-7"), "no hash")
    assert await memory.next_due() is None
    assert await memory.claim_due(limit=5, hold=MINUTE) == []
    assert await members(client, prefix) == 0


async def test_keys_and_subjects_with_half_characters_come_back(memory: RedisMachineMemory) -> None:
    """A name comes from people; a record stores any."""
    for key in ["a NUL \0#1", "half \ud800#1"]:
        await step(memory, NextTimer(at=PAST, key=key), machine_id="half \udfff")
        (claimed,) = await memory.claim_due(limit=1, hold=MINUTE)
        assert (claimed.machine_id, claimed.key) == ("half \udfff", key)


async def test_a_step_that_moves_a_timer_takes_two_round_trips(
    connect_url: Connect, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a poll takes one."""
    async with connect_url(redis_url, prefix=prefix) as memory:
        await step(memory)
        for timer in [NextTimer(at=PAST, key="pay#1"), NextTimer(at=FUTURE, key="pay#2"), None]:
            await step(memory, timer)
        await memory.claim_due(limit=100, hold=MINUTE)
        await memory.next_due()
        asked: list[str] = []
        run = memory._server.transport.run

        async def counted(script: Script, *words: str | bytes | int) -> object:
            asked.append(script.name)
            return await run(script, *words)  # type: ignore[arg-type]

        monkeypatch.setattr(memory._server.transport, "run", counted)
        for timer in [NextTimer(at=PAST, key="pay#1"), NextTimer(at=FUTURE, key="pay#2"), None]:
            await step(memory, timer)
        assert asked == ["acquire", "commit"] * 3
        asked.clear()
        await memory.next_due()
        await memory.claim_due(limit=100, hold=MINUTE)
        assert asked == ["next_due", "claim"]


async def test_a_commit_that_may_not_write_the_index_writes_nothing(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    server = start_redis()
    async with connect_url(server.url) as memory:
        await step(memory)
        for right in ["zadd", "zrem"]:
            lease = await leased(memory)
            server.command("ACL", "SETUSER", "default", f"-{right}")
            timer = NextTimer(at=PAST, key="pay#1") if right == "zadd" else None
            with pytest.raises(MachineMemoryError):
                await memory.commit(lease, record_write({"refused": right}, timer=timer))
            server.command("ACL", "SETUSER", "default", f"+{right}")
            await memory.release(lease)
        assert await memory.read("order-7") == {}


# --- faults -----------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.timeout(120)
async def test_timer_and_state_are_both_there_or_both_not(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    """Requests and replies of commits are cut at random instants, of one try or of all three."""
    random = Random(11)
    there = Counter[bool]()
    count = 0
    server = start_redis()
    async with (
        FaultProxy.open(port=server.port) as proxy,
        connect_url(url_of(proxy), policy=QUICK, max_connections=4) as memory,
        RedisMachineMemory.connect(server.url, policy=QUICK) as other,
        Redis.from_url(server.url) as client,
    ):
        await other.commit(await leased(other), record_write({"count": 0}))
        for instant in range(1, INSTANTS + 1):
            lease = await leased(other)
            mark = lease.owner.encode()
            of_requests = random.choice([0.5, 1.0])
            for _ in range(random.choice([1, 3])):
                if random.random() < of_requests:
                    proxy.lose_next_request(containing=mark, n_bytes=random.randrange(120))
                else:
                    proxy.cut_reply_after(random.randrange(4), containing=mark)
            timer = NextTimer(at=PAST, key=f"pay#{instant}") if instant % 3 else None
            try:
                await memory.commit(lease, record_write({"count": instant}, timer=timer))
            except MachineMemoryError:
                await other.release(lease)
            record = await other.read("order-7")
            assert record is not None
            is_there = record["count"] == instant
            there[is_there] += 1
            count = instant if is_there else count
            assert record["count"] == count
            key = await client.hget(other._keys.machine("order-7"), "due_key")
            assert key == (f"pay#{count}".encode() if count % 3 else None)
            assert await members(client, "arvo:") == (1 if count % 3 else 0)
    assert min(there[True], there[False]) > 0
    print(f"{INSTANTS} cuts: both there {there[True]} times, both not {there[False]} times")  # noqa: T201 - the figure of the run


CLAIM_AND_WAIT = """
import asyncio, sys
from datetime import timedelta
from arvo_memory_redis import RedisMachineMemory

async def main(url, prefix, transport):
    async with RedisMachineMemory.connect(url, prefix=prefix, transport=transport) as memory:
        claimed = await memory.claim_due(limit=100, hold=timedelta(minutes=1))
        print(len(claimed), flush=True)
        sys.stdin.readline()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_process_had_claimed_returns_after_the_hold(
    connect_url: Connect, transport: str, redis_url: str, client: Redis, prefix: str
) -> None:
    async with connect_url(redis_url, prefix=prefix) as memory:
        for number in range(5):
            await step(memory, NextTimer(at=PAST, key="pay#1"), machine_id=f"order-{number}")
        holder = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", CLAIM_AND_WAIT, redis_url, prefix, transport],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert await holder.stdout.readline() == b"5\n"
        finally:
            holder.kill()
            await holder.wait()
            holder.stdin.close()
        assert await memory.claim_due(limit=100, hold=MINUTE) == []
        await make_older(client, prefix, MINUTE)
        claimed = await memory.claim_due(limit=100, hold=MINUTE)
        assert {(each.machine_id, each.claims) for each in claimed} == {
            (f"order-{number}", 2) for number in range(5)
        }
    print("5 timers claimed before SIGKILL, 5 claimed again after the hold")  # noqa: T201 - the figure of the run


async def test_fifty_claims_of_a_thousand_due_share_them(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    async with AsyncExitStack() as stack:
        memories = [
            await stack.enter_async_context(
                connect_url(redis_url, prefix=prefix, socket_timeout=BUSY_MACHINE)
            )
            for _ in range(5)
        ]
        timer = NextTimer(at=PAST, key="pay#1")
        for first in range(0, 1000, 50):
            await asyncio.gather(
                *(
                    step(memories[0], timer, machine_id=f"order-{number}")
                    for number in range(first, first + 50)
                )
            )

        async def claims(memory: RedisMachineMemory) -> Sequence[str]:
            claimed = await memory.claim_due(limit=20, hold=MINUTE)
            return [each.machine_id for each in claimed]

        parts = await asyncio.gather(*(claims(memory) for memory in memories * 10))
        assert await memories[0].claim_due(limit=20, hold=MINUTE) == []
    claimed = [machine_id for part in parts for machine_id in part]
    assert len(claimed) == len({*claimed}) == 1000
    print(f"50 concurrent claims, {len({*claimed})} distinct of {len(claimed)}")  # noqa: T201 - the figure of the run
