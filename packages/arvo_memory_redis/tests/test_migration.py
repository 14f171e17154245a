"""Workflows under the keys of the version before: refused, moved, and run on."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import migrate_memory
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from storm import asking

from .clients import Connect, leased
from .conftest import Transport

BEFORE: Final = json.loads(Path(__file__).with_name("hashes_1.json").read_text())
"""Made by the last commit without chunks: fields of hashes, and answers to the requests in them."""

Hashes = Mapping[str, Mapping[bytes, bytes]]


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with client_of(redis_url) as client:
        yield client


def client_of(url: str, kind: type[Redis] = Redis) -> Redis:
    return kind.from_url(url, retry=Retry(NoBackoff(), 0))


async def store(client: Any, prefix: str, *, most: int = 6) -> Hashes:
    """Store hashes under the keys of the version before; the first one expires in an hour."""
    hashes = {
        f"{prefix}{key}": {name.encode(): value.encode("latin-1") for name, value in fields.items()}
        for key, fields in list(BEFORE["hashes"].items())[:most]
    }
    for key, mapping in hashes.items():
        await client.hset(key, mapping=mapping)
    await client.pexpire(next(iter(hashes)), timedelta(hours=1))
    return hashes


@pytest.fixture
async def before(client: Redis, prefix: str) -> Hashes:
    return await store(client, prefix)


async def keys(client: Any, prefix: str) -> set[str]:
    """The keys of workflows and of the layout, without the index."""
    found = {key.decode() async for key in client.scan_iter(match=f"*{prefix}*")}
    return {key for key in found if not key.startswith(f"{{{prefix}i}}") or "layout" in key}


def layout(prefix: str) -> str:
    return f"{{{prefix}i}}:layout"


async def check_moved(client: Any, prefix: str, before: Hashes) -> None:
    """Every hash is under its new key as it was, with its expiry, under no other, and listed."""
    placed = {f"{{{prefix}{int(key[-2:], 16)}}}{key.removeprefix(prefix)}": key for key in before}
    assert await keys(client, prefix) == {*placed, layout(prefix)}
    for key, earlier in placed.items():
        fields = await client.hgetall(key)
        assert (b"started_at" in fields) == (b"version" in fields)
        fields.pop(b"started_at", None)
        assert fields == before[earlier]
        left = await client.pttl(key)
        assert 3_500_000 < left <= 3_600_000 if earlier == next(iter(before)) else left == -1
    listed = await client.zrange(f"{{{prefix}i}}:all", 0, -1)
    assert {f":{each.decode()}" for each in listed} == {
        key[-33:] for key, fields in before.items() if b"version" in fields
    }


class Interrupted(Exception):
    """The process is killed here."""


class Killed(Redis):
    """A client whose process is killed when it has sent a number of commands."""

    left = 0

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        execute: Any = super().execute_command
        return await execute(*args, **options)


async def test_a_memory_with_keys_of_the_version_before_is_refused(
    connect_url: Connect, redis_url: str, client: Redis, prefix: str, before: Hashes
) -> None:
    borrowed = RedisMachineMemory(client, prefix=prefix)
    subject = next(iter(before.values()))[b"subject"].decode()
    for _ in range(2):
        with pytest.raises(MachineMemoryError, match="run `arvo memory migrate --memory") as caught:
            async with connect_url(redis_url, prefix=prefix):
                raise AssertionError("it must not open")
        assert caught.value.retryable is False
        for call in (borrowed.acquire, borrowed.read, borrowed.lock, borrowed.workflow):
            with pytest.raises(MachineMemoryError, match="arvo memory migrate"):
                await call(subject)
    assert await keys(client, prefix) == set(before)


async def test_workflows_of_the_version_before_are_moved_and_go_on(
    connect_url: Connect,
    redis_url: str,
    transport: Transport,
    client: Redis,
    prefix: str,
    before: Hashes,
) -> None:
    url = f"{redis_url}?prefix={prefix}&transport={transport}"
    await client.set(f"{prefix}m:other", "a key of somebody else")
    report = await migrate_memory(url, dry_run=True)
    assert (report.changed, report.summary) == (True, "would move 6 workflows to the present keys")
    assert await keys(client, prefix) == {*before, f"{prefix}m:other"}
    told: list[tuple[int, int]] = []
    report = await migrate_memory(url, on_migrated=lambda *done: told.append(done))
    assert (report.summary, report.problems) == ("moved 6 workflows to the present keys", ())
    assert told == [(6, 6)]
    assert await client.delete(f"{prefix}m:other")
    await check_moved(client, prefix, before)
    report = await migrate_memory(url)
    assert (report.changed, report.summary) == (False, "the keys are up to date")
    async with connect_url(redis_url, prefix=prefix) as memory:
        for answer in BEFORE["answers"]:
            [done] = await asking(memory).execute(ArvoEvent.from_dict(answer))
            assert done.data == {"text": "good"}


async def test_hashes_of_the_version_before_are_read_as_they_are(
    connect_url: Connect, redis_url: str, client: Redis, prefix: str, before: Hashes
) -> None:
    await RedisMachineMemory(client, prefix=prefix).migrate()
    async with connect_url(redis_url, prefix=prefix) as memory:
        for fields in before.values():
            subject = fields[b"subject"].decode()
            lease = await leased(memory, subject)
            assert lease.version == int(fields.get(b"version", b"0"))
            assert lease.committed_by == fields.get(b"last_owner", b"").decode()
            assert lease.record == await memory.read(subject)
            if fields.get(b"codec") == b"json":
                assert lease.record == json.loads(fields[b"state"])
            assert (lease.tail, list(lease.chunks), lease.last_chunk) == (b"", [], 0)
            assert list(await memory.chunks(lease)) == []
            write = record_write({"count": 9}, tail=b"tail", chunk=b"chunk", frees="earlier")
            await memory.commit(lease, write)
            found = await leased(memory, subject)
            assert (found.version, found.record) == (lease.version + 1, {"count": 9})
            assert (found.tail, list(found.chunks)) == (b"tail", [(1, b"chunk")])


async def test_a_migration_that_is_killed_anywhere_loses_nothing(
    redis_url: str, client: Redis, prefix: str
) -> None:
    sent = 0
    ended = False
    async with client_of(redis_url, Killed) as killed:
        assert isinstance(killed, Killed)
        while not ended:
            own = f"{prefix}{sent}:"
            before = await store(client, own, most=2)
            killed.left = sent
            try:
                await RedisMachineMemory(killed, prefix=own).migrate()
            except Interrupted:
                memory = RedisMachineMemory(client, prefix=own)
                if await keys(client, own) & before.keys():
                    with pytest.raises(MachineMemoryError, match="arvo memory migrate"):
                        await memory.read("order-7")
                await memory.migrate()
            ended = killed.left > 0
            await check_moved(client, own, before)
            sent += 1
    assert sent > 3 * 2


async def test_a_worker_of_the_version_before_that_still_runs_is_noticed(
    redis_url: str, client: Redis, prefix: str
) -> None:
    class Overtaken(Redis):
        """A worker commits while the workflow is moved."""

        @override
        async def execute_command(self, *args: Any, **options: Any) -> Any:
            execute: Any = super().execute_command
            reply = await execute(*args, **options)
            if args[3:4] == (FIRST,) and reply != 1:
                await client.hset(FIRST, mapping={"version": "9", "last_owner": "late"})
            return reply

    FIRST = next(iter(before := await store(client, prefix)))  # noqa: N806
    async with client_of(redis_url, Overtaken) as overtaken:
        with pytest.raises(MachineMemoryError, match=f"{FIRST} was written while.*stop all work"):
            await RedisMachineMemory(overtaken, prefix=prefix).migrate()
    assert layout(prefix) not in await keys(client, prefix)
    await RedisMachineMemory(client, prefix=prefix).migrate()
    moved = {**before[FIRST], b"version": b"9", b"last_owner": b"late"}
    await check_moved(client, prefix, {**before, FIRST: moved})


async def test_different_records_under_both_keys_are_left_for_a_human(
    client: Redis, prefix: str, before: Hashes
) -> None:
    memory = RedisMachineMemory(client, prefix=prefix)
    first = next(iter(before))
    both = memory._keys.moved(first.encode())
    assert both is not None
    await client.hset(both, mapping={"version": "1", "last_owner": "other"})
    report = await memory.migrate()
    assert report.summary == "moved 5 workflows to the present keys"
    [problem] = report.problems
    assert problem.startswith(f"{first} and {both} hold different records of one workflow")
    assert layout(prefix) not in await keys(client, prefix)
    with pytest.raises(MachineMemoryError, match="arvo memory migrate"):
        await memory.read("order-7")
    await client.unlink(both)
    assert (await memory.migrate()).problems == ()
    await check_moved(client, prefix, before)


async def test_keys_of_a_newer_version_are_refused(
    connect_url: Connect, redis_url: str, client: Redis, prefix: str
) -> None:
    await client.hset(layout(prefix), "version", "3")
    with pytest.raises(MachineMemoryError, match=r"layout b'3'.*pip install --upgrade"):
        async with connect_url(redis_url, prefix=prefix):
            raise AssertionError("it must not open")
    with pytest.raises(MachineMemoryError, match="layout b'3'"):
        await RedisMachineMemory(client, prefix=prefix).migrate()


async def test_keys_are_looked_for_once(
    connect_url: Connect, redis_url: str, client: Redis, prefix: str
) -> None:
    """Afterwards, the mark answers."""

    async def scans() -> int:
        calls: Any = (await client.info("commandstats")).get("cmdstat_scan", {"calls": 0})
        return int(calls["calls"])

    async with connect_url(redis_url, prefix=prefix):
        pass
    before = await scans()
    async with connect_url(redis_url, prefix=prefix):
        pass
    memory = RedisMachineMemory(client, prefix=prefix)
    await memory.write("order-7", {"count": 1}, None)
    assert await scans() == before


async def test_a_prefix_that_would_spoil_the_hash_tag_is_refused(
    connect_url: Connect, redis_url: str
) -> None:
    with pytest.raises(ValueError, match="prefix must not begin with }"):
        async with connect_url(redis_url, prefix="}x"):
            raise AssertionError("it must not open")
