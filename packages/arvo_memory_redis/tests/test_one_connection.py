"""Over one connection for all: records of any size, lost replies, a master that steps down."""

import asyncio
from datetime import timedelta

import pytest
from real_servers.fixtures import StartRedis

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy, Record
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from real_servers import FaultProxy

from .clients import stored, url_of

QUICK = LockPolicy(max_wait=timedelta(milliseconds=100), max_delay=timedelta(milliseconds=20))
EIGHT_MIB = 8 * 1024 * 1024


async def test_replies_that_come_byte_by_byte_are_read(start_redis: StartRedis) -> None:
    record: Record = {"text": "ä\r\n$5\r\n", "list": [1, None, {}]}
    async with FaultProxy.open(port=start_redis().port) as proxy:
        proxy.piece_size = 1
        async with RedisMachineMemory.connect(url_of(proxy), policy=QUICK) as memory:
            for version in range(3):
                lease = await memory.acquire("order-7")
                assert lease is not None
                assert (lease.version, lease.record) == (version, record if version else None)
                assert await memory.acquire("order-7") is None
                await memory.commit(lease, record_write(record))
            assert await stored(memory) == (3, record)


async def test_a_reply_of_8_mib_is_read_beside_small_ones(redis_url: str, prefix: str) -> None:
    large: Record = {"text": "x" * (EIGHT_MIB - 100)}
    async with RedisMachineMemory.connect(redis_url, prefix=prefix, compress_above=None) as memory:
        await memory.write("large", large, None)
        for number in range(50):
            await memory.write(f"small-{number}", {"number": number}, None)
        names = [f"small-{number}" for number in range(50)]
        found = await asyncio.gather(*map(memory.read, [*names[:25], "large", *names[25:]]))
        assert found.pop(25) == large
        assert found == [{"number": number} for number in range(50)]


async def test_commits_in_flight_are_retried_and_happen_once(start_redis: StartRedis) -> None:
    server = start_redis()
    names = [f"order-{number}" for number in range(20)]
    async with (
        FaultProxy.open(port=server.port) as proxy,
        RedisMachineMemory.connect(url_of(proxy), policy=QUICK) as memory,
    ):
        for round_ in range(10):
            leases = await asyncio.gather(*map(memory.acquire, names))
            cut = proxy.lose_next_reply() if round_ % 2 else proxy.lose_next_request(n_bytes=99)
            await asyncio.gather(
                *(
                    memory.commit(lease, record_write({"round": round_}))
                    for lease in leases
                    if lease
                )
            )
            assert cut.happened.is_set()
        found = [await stored(memory, name) for name in names]
    assert found == [(10, {"round": 9})] * len(names)


async def test_a_new_connection_is_made_after_a_server_became_a_replica(
    start_redis: StartRedis,
) -> None:
    server = start_redis()
    async with (
        FaultProxy.open(port=server.port) as proxy,
        RedisMachineMemory.connect(url_of(proxy), policy=QUICK) as memory,
    ):
        lease = await memory.acquire("order-7")
        assert lease is not None
        server.command("REPLICAOF", "127.0.0.1", 1)
        with pytest.raises(MachineMemoryError, match="READONLY") as caught:
            await memory.commit(lease, record_write({"count": 1}))
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        server.command("REPLICAOF", "NO", "ONE")  # as if the name led to another by now
        await memory.commit(lease, record_write({"count": 1}))
        assert proxy.connections == 2


async def test_a_server_that_does_not_speak_redis_is_refused() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(MachineMemoryError, match="does not speak RESP"):
            async with RedisMachineMemory.connect(f"redis://127.0.0.1:{port}"):
                pass


async def test_after_the_block_the_server_has_no_client_left(start_redis: StartRedis) -> None:
    server = start_redis()
    async with RedisMachineMemory.connect(server.url) as memory:
        await memory.read("order-7")
    listed = str(server.command("CLIENT", "LIST"))
    assert len(listed.splitlines()) == 1
