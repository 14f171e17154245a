"""Opened read-only, a memory shows what is there, and changes neither data nor index nor layout."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import (
    MachineLease,
    Record,
    WorkflowQuery,
    connect_memory,
    migrate_memory,
)
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory

from .aging import make_older
from .clients import Connect, subjects
from .conftest import Transport
from .test_migration import store

LEASE = MachineLease(machine_id="order-7", owner="me", version=1, record={})
WRITES: dict[str, Callable[[RedisMachineMemory], Awaitable[object]]] = {
    "acquire": lambda memory: memory.acquire("order-7"),
    "lock": lambda memory: memory.lock("order-7"),
    "unlock": lambda memory: memory.unlock("order-7"),
    "commit": lambda memory: memory.commit(LEASE, record_write({})),
    "release": lambda memory: memory.release(LEASE),
    "renew": lambda memory: memory.renew(LEASE),
    "write": lambda memory: memory.write("order-7", {}, {"n": 1}),
    "claim_due": lambda memory: memory.claim_due(limit=1, hold=timedelta(seconds=30)),
    "cleanup": lambda memory: memory.cleanup("order-7"),
    "reindex": lambda memory: memory.reindex(),
    "migrate": lambda memory: memory.migrate(),
}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


async def everything(client: Redis, prefix: str) -> dict[bytes, object]:
    """All that is stored under a prefix, as the server dumps it."""
    return {
        key: await client.dump(key)
        async for key in client.scan_iter(match=f"*{prefix}*", count=100)
    }


async def test_a_read_only_memory_shows_and_writes_nothing(
    connect_url: Connect, redis_url: str, client: Redis, prefix: str
) -> None:
    async with (
        connect_url(redis_url, prefix=prefix) as writer,
        connect_url(redis_url, prefix=prefix, read_only=True) as memory,
    ):
        await writer.write("order-7", {"n": 1}, None)
        lease = await writer.acquire("order-7")
        assert lease is not None
        stored = await everything(client, prefix)
        assert await memory.read("order-7") == {"n": 1}
        assert await memory.chunks(lease) == []
        assert await subjects(memory) == ["order-7"]
        assert await memory.next_due() is None
        assert (await memory.count(WorkflowQuery())).value == 1
        shown = await memory.workflow("order-7")
        assert shown is not None
        assert shown.lease_until is not None
        for doing, call in WRITES.items():
            with pytest.raises(MachineMemoryError, match="was opened read-only") as caught:
                await call(memory)
            assert (caught.value.retryable, caught.value.outcome) == (False, "failed"), doing
        assert await everything(client, prefix) == stored


async def test_looking_leaves_a_wrong_index_as_it_is(
    connect_url: Connect,
    redis_url: str,
    client: Redis,
    prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Other readers drop what is gone, and move what another worker began."""
    async with connect_url(redis_url, prefix=prefix) as writer:
        for name in ("gone", "moved"):
            await writer.write(name, {}, None)
        await client.unlink(writer._keys.machine("gone"))
        await make_older(client, prefix, timedelta(hours=1))
        await client.hincrby(writer._keys.machine("moved"), "started_at", -5)
    stored = await everything(client, prefix)
    async with connect_url(redis_url, prefix=prefix, read_only=True) as memory:
        assert await subjects(memory) == ["moved"]
    assert not caplog.records
    assert await everything(client, prefix) == stored


async def test_a_memory_that_nobody_has_used_is_empty_and_stays_unmarked(
    connect_url: Connect, redis_url: str, client: Redis, prefix: str
) -> None:
    async with connect_url(redis_url, prefix=prefix, read_only=True) as memory:
        assert await subjects(memory) == []
        assert await memory.read("order-7") is None
        assert await memory.workflow("order-7") is None
    assert await everything(client, prefix) == {}


async def test_a_user_who_may_only_read_is_enough(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    """The server would refuse whatever wrote."""
    server = start_redis()
    record: Record = {"timers": {"pay#1": {"at": "2999-12-31T00:00:00.000+00:00"}}}
    async with connect_url(server.url) as writer:
        await writer.write("order-7", record, None)
    server.command(
        *["ACL", "SETUSER", "reader", "on", "nopass", "~{arvo:*", "-@all"],
        *["+@read", "+evalsha", "+eval", "+time"],
    )
    url = server.url.replace("redis://", "redis://reader@")
    async with connect_url(url, read_only=True) as memory:
        assert await memory.read("order-7") == record
        assert await memory.next_due() is not None
        assert await subjects(memory) == ["order-7"]
        for query in (WorkflowQuery(key="order-7"), WorkflowQuery(status={"done"})):
            await memory.count(query)
            await memory.workflows(query, oldest_first=True)
        assert await memory.workflow("order-7") is not None
        with pytest.raises(TransactionViolation):
            await memory.chunks(LEASE)


async def test_the_url_opens_read_only(
    connect_url: Connect, redis_url: str, transport: Transport, prefix: str
) -> None:
    url = f"{redis_url}?prefix={prefix}&transport={transport}&read_only="
    async with connect_memory(f"{url}true") as opened:
        with pytest.raises(MachineMemoryError, match=r"read-only; write needs one that is not"):
            await opened.write("order-7", {"n": 2}, {"n": 1})
    with pytest.raises(ValueError, match="read_only must be true or false"):
        connect_memory(f"{url}yes")


async def test_the_layout_before_is_refused_with_the_command_that_mends_it(
    connect_url: Connect, redis_url: str, transport: Transport, client: Redis, prefix: str
) -> None:
    before = await store(client, prefix)
    remedy = "run `arvo memory migrate --memory"
    with pytest.raises(MachineMemoryError, match=remedy) as caught:
        async with connect_url(redis_url, prefix=prefix, read_only=True):
            pass
    assert caught.value.retryable is False
    url = f"{redis_url}?prefix={prefix}&transport={transport}&read_only=true"
    report = await migrate_memory(url, dry_run=True)
    assert report.summary == "would move 6 workflows to the present keys"
    with pytest.raises(MachineMemoryError, match=r"read-only; migrate needs one that is not"):
        await migrate_memory(url)
    assert {key.decode() for key in await everything(client, prefix)} == set(before)


async def test_read_only_is_a_bool(connect_url: Connect) -> None:
    with pytest.raises(TypeError, match="read_only"):
        async with connect_url("redis://127.0.0.1:1", read_only="yes"):
            pass
