"""How a hash keeps tails and chunks; what they promise is in the suites."""

import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_event_handler import MachineMemoryError, UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import MAX_RECORD_BYTES, LockPolicy
from arvo_event_handler.testing import record_write
from arvo_event_handler.testing._committed_journal import Commit, CommittedJournal
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._url import connect_url as by_url
from arvo_time.testing import SpanRecorder

from .clients import Connect, leased

POLICY = LockPolicy(max_wait=timedelta(0))


@pytest.fixture
async def memory(
    connect_url: Connect, redis_url: str, prefix: str
) -> AsyncIterator[RedisMachineMemory]:
    async with connect_url(redis_url, prefix=prefix, policy=POLICY) as memory:
        yield memory


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


async def commit(memory: RedisMachineMemory, **what: Any) -> None:
    await memory.commit(await leased(memory), record_write({"count": 1}, **what))


async def stored(client: Redis, memory: RedisMachineMemory) -> dict[Any, Any]:
    return await client.hgetall(memory._keys.machine("order-7"))


async def numbers(client: Redis, memory: RedisMachineMemory) -> list[int]:
    """The numbers of the chunks that are stored, whatever the hash says about them."""
    names = [name for name in await stored(client, memory) if name[:1] == b"c"]
    return sorted(int(name[1:]) for name in names if name != b"codec")


# --- the hash -----------------------------------------------------------------


async def test_long_chunks_are_deflated_and_tails_are_not(
    memory: RedisMachineMemory, client: Redis
) -> None:
    for chunk in [b"x" * 4095, b"x" * 4096]:
        await commit(memory, chunk=chunk, tail=b"x" * 10_000)
    fields = await stored(client, memory)
    assert fields[b"c1"] == b"p" + b"x" * 4095
    assert (fields[b"c2"][:1], len(fields[b"c2"]) < 100) == (b"z", True)
    assert fields[b"tail"] == b"x" * 10_000


async def test_a_workflow_without_chunks_stores_no_numbers_of_them(
    memory: RedisMachineMemory, client: Redis
) -> None:
    for frees in ("none", "earlier", "all"):
        await commit(memory, tail=b"tail", frees=frees)
    assert (await stored(client, memory)).keys() == {
        *(b"subject", b"version", b"codec", b"state", b"last_owner", b"tail"),
        *(b"status", b"summary", b"started_at", b"updated_at"),
    }


async def test_freed_chunks_are_deleted(memory: RedisMachineMemory, client: Redis) -> None:
    for _ in range(12):
        await commit(memory, chunk=b"chunk")
    assert await numbers(client, memory) == list(range(1, 13))
    await commit(memory, chunk=b"base", frees="earlier")
    await commit(memory, chunk=b"next")
    assert await numbers(client, memory) == [13, 14]
    await commit(memory, chunk=b"last", frees="all")
    assert await numbers(client, memory) == []
    await commit(memory, chunk=b"more")
    await memory.write("order-7", {"count": 2}, {"count": 1})
    assert await numbers(client, memory) == []
    fields = await stored(client, memory)
    assert (fields[b"first_chunk"], fields[b"last_chunk"]) == (b"17", b"16")


async def test_a_workflow_is_one_key_that_expires_as_a_whole(
    memory: RedisMachineMemory, client: Redis, prefix: str
) -> None:
    await commit(memory, chunk=b"chunk", tail=b"tail", expires_in=timedelta(hours=1))
    [key] = [each async for each in client.scan_iter(match=f"{{{prefix}[0-9]*")]
    assert 3_590_000 < await client.pttl(key) <= 3_600_000


async def test_ten_thousand_chunks_are_read_and_freed(
    memory: RedisMachineMemory, client: Redis
) -> None:
    """More values than Lua's `unpack` takes."""
    await commit(memory, chunk=b"chunk 1")
    key, count = memory._keys.machine("order-7"), 10_000
    written = [(number, b"chunk %d" % number) for number in range(1, count + 1)]
    await client.hset(key, mapping={f"c{number}": b"p" + chunk for number, chunk in written})
    await client.hset(key, "last_chunk", str(count))
    lease = await leased(memory)
    assert (list(lease.chunks), lease.last_chunk) == (written, count)
    assert list(await memory.chunks(lease)) == written
    await memory.release(lease)
    few = await memory.acquire("order-7", after=count - 2)
    assert few is not None
    assert list(few.chunks) == written[-2:]
    await memory.commit(few, record_write({}, chunk=b"base", frees="earlier"))
    assert await numbers(client, memory) == [count + 1]


async def test_a_step_with_chunks_takes_two_round_trips(memory: RedisMachineMemory) -> None:
    for _ in range(3):
        await commit(memory, chunk=b"chunk")
    with SpanRecorder() as recorder:
        lease = await leased(memory)
        write = record_write({"count": 2}, tail=b"tail", chunk=b"base", frees="earlier")
        await memory.commit(lease, write)
    assert [span.name for span in recorder.spans] == ["EVALSHA acquire", "EVALSHA commit"]


async def test_a_commit_that_lacks_a_permission_stores_record_tail_and_chunk_together(
    connect_url: Connect, start_redis: StartRedis
) -> None:
    """The server refuses one command amid the script; what ran before it stays."""
    server = start_redis()
    async with connect_url(server.url, policy=POLICY) as memory:
        await commit(memory, chunk=b"a", tail=b"tail of 1")
        lease = await leased(memory)
        write = record_write({"count": 2}, chunk=b"b", frees="earlier", tail=b"tail of 2")
        server.command("ACL", "SETUSER", "default", "-hdel")
        with pytest.raises(MachineMemoryError) as caught:
            await memory.commit(lease, write)
        assert caught.value.outcome == "unknown"
        server.command("ACL", "SETUSER", "default", "+hdel")
        await memory.release(lease)
        found = await leased(memory)
        assert (found.record, found.tail) == ({"count": 2}, b"tail of 2")
        assert list(found.chunks) == [(2, b"b")]


# --- history beside workers of the version before -----------------------------


@pytest.fixture
async def historic(
    connect_url: Connect, redis_url: str, prefix: str
) -> AsyncIterator[RedisMachineMemory]:
    history = timedelta(hours=1)
    async with connect_url(redis_url, prefix=prefix, policy=POLICY, history=history) as memory:
        yield memory


@pytest.fixture
async def holed(historic: RedisMachineMemory, client: Redis) -> CommittedJournal:
    """Chunks 1 and 2 are kept, 3 to 5 were freed by a program that knows no history, 6 is live."""
    journal = CommittedJournal("order-7", history=True)
    for how in HOLED:
        await journal.commit(historic, how)
    key = historic._keys.machine("order-7")
    await client.hdel(key, *(f"{kind}{number}" for kind in "cf" for number in (3, 4, 5)))
    assert await numbers(client, historic) == [1, 2, 6]
    return journal


HOLED: Final[tuple[Commit, ...]] = ("chunk", "chunk", "base", "chunk", "chunk", "base")


async def test_steps_begin_after_what_a_worker_without_history_has_deleted(
    historic: RedisMachineMemory, holed: CommittedJournal
) -> None:
    assert await historic.steps("order-7") == holed.entries[5:]
    for how in HOLED:
        await holed.commit(historic, how)
        assert await historic.steps("order-7") == holed.entries[5:]
        assert await historic.steps("order-7", after=-1) == holed.entries[-1:]


async def test_a_live_chunk_that_is_missing_stays_an_error_beside_history(
    historic: RedisMachineMemory, client: Redis, holed: CommittedJournal
) -> None:
    for _ in range(2):
        await holed.commit(historic, "chunk")
    await client.hdel(historic._keys.machine("order-7"), "c7")
    with pytest.raises(UnreadableRecordError, match="chunk 7 is missing"):
        await historic.steps("order-7")


async def test_what_is_kept_and_what_is_live_are_both_freed_without_history(
    memory: RedisMachineMemory, client: Redis, holed: CommittedJournal
) -> None:
    await holed.commit(memory, "base")
    assert await numbers(client, memory) == [7]


# --- limits and settings ------------------------------------------------------


async def test_a_chunk_above_the_limit_is_refused_and_nothing_is_stored(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    async with connect_url(redis_url, prefix=prefix, policy=POLICY, max_record_bytes=500) as memory:
        lease = await leased(memory)
        write = record_write({"count": 1}, chunk=b"x" * 500, tail=b"tail")
        with pytest.raises(UnwritableRecordError, match=r"a chunk .* 501 bytes, above max_rec"):
            await memory.commit(lease, write)
        assert await memory.read("order-7") is None
        await memory.commit(lease, record_write({"count": 1}, chunk=b"x" * 499))


async def test_a_chunk_that_deflates_well_is_bounded_when_written_and_when_read(
    memory: RedisMachineMemory, client: Redis
) -> None:
    """Or a few bytes could fill the memory."""
    lease = await leased(memory)
    write = record_write({}, chunk=b"x" * (MAX_RECORD_BYTES + 1))
    with pytest.raises(UnwritableRecordError, match=f"above the {MAX_RECORD_BYTES} that"):
        await memory.commit(lease, write)
    await memory.commit(lease, record_write({}, chunk=b"chunk"))
    inflates = zlib.compress(b"x" * (MAX_RECORD_BYTES + 1), level=1)
    await client.hset(memory._keys.machine("order-7"), "c1", b"z" + inflates)
    with pytest.raises(
        UnreadableRecordError, match=f"chunk 1 is longer than the {MAX_RECORD_BYTES}"
    ):
        await memory.acquire("order-7")


async def test_tails_are_closed_from_8_kib_on_unless_told_otherwise(
    connect_url: Connect, redis_url: str, client: Redis
) -> None:
    async with connect_url(redis_url) as memory:
        assert memory.chunk_bytes == 8192
    async with connect_url(redis_url, chunk_bytes=0) as memory:
        assert memory.chunk_bytes == 0
    async with by_url(f"{redis_url}?chunk_bytes=100") as memory:
        assert memory.chunk_bytes == 100
    assert RedisMachineMemory(client, chunk_bytes=7).chunk_bytes == 7


@pytest.mark.parametrize(("wrong", "error"), [(-1, ValueError), ("8192", TypeError)])
async def test_chunk_bytes_that_cannot_be_are_refused(
    connect_url: Connect, client: Redis, wrong: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="chunk_bytes must "):
        async with connect_url("redis://127.0.0.1:1", chunk_bytes=wrong):
            pass
    with pytest.raises(error, match="chunk_bytes must "):
        RedisMachineMemory(client, chunk_bytes=wrong)


# --- damage -------------------------------------------------------------------

NUMBERS: Final = "numbers of chunks are damaged"
DAMAGE: Final[Mapping[str, tuple[dict[str, bytes | None], str]]] = {
    "not compressed": ({"c2": b"z\x00"}, "chunk 2 cannot be decompressed"),
    "nothing compressed": ({"c2": b"z"}, "chunk 2 cannot be decompressed"),
    "no tag": ({"c2": b""}, "chunk 2 has the tag b''"),
    "unknown tag": ({"c2": b"?a"}, r"chunk 2 has the tag b'\?'"),
    "first one missing": ({"c1": None}, "chunk 1 is missing"),
    "one missing": ({"c2": None}, "chunk 2 is missing"),
    "last one missing": ({"c3": None}, "chunk 3 is missing"),
    "last number far too high": ({"last_chunk": b"9" * 15}, "chunk 4 is missing"),
    "first number too low": ({"first_chunk": b"1", "c1": None}, "chunk 1 is missing"),
    "no last number": ({"first_chunk": b"2", "last_chunk": None}, NUMBERS),
    "first number too high": ({"first_chunk": b"5"}, NUMBERS),
    "last number that is none": ({"last_chunk": b"x"}, NUMBERS),
    "first number that is none": ({"first_chunk": b""}, NUMBERS),
    "number in another writing": ({"last_chunk": b"1e3"}, NUMBERS),
    "number that is endless": ({"last_chunk": b"inf"}, NUMBERS),
    "negative number": ({"last_chunk": b"-1"}, NUMBERS),
    "number that is not UTF-8": ({"last_chunk": b"\xff"}, NUMBERS),
    "number of 16 digits": ({"last_chunk": b"1" * 16}, NUMBERS),
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_damaged_chunks_are_a_read_failure_that_keeps_no_lease(
    memory: RedisMachineMemory, client: Redis, kind: str
) -> None:
    for chunk in [b"a", b"b", b"c"]:
        await commit(memory, chunk=chunk)
    lease = await leased(memory)
    await memory.release(lease)
    key = memory._keys.machine("order-7")
    fields, words = DAMAGE[kind]
    for name, value in fields.items():
        if value is None:
            await client.hdel(key, name)
        else:
            await client.hset(key, name, value)
    before = await client.hgetall(key)
    for _ in range(2):
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.acquire("order-7")
    with pytest.raises(UnreadableRecordError, match=words):
        await memory.chunks(lease)
    if words == NUMBERS:
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.commit(lease, record_write({"count": 2}, chunk=b"d"))
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.write("order-7", {"count": 2}, {"count": 1})
    assert await client.hgetall(key) == before, "as it was, and nobody holds it"


async def test_a_damaged_chunk_that_the_caller_has_already_is_not_read(
    memory: RedisMachineMemory, client: Redis
) -> None:
    for chunk in [b"a", b"b", b"c"]:
        await commit(memory, chunk=chunk)
    await client.hset(memory._keys.machine("order-7"), "c2", b"?")
    lease = await memory.acquire("order-7", after=2)
    assert lease is not None
    assert list(lease.chunks) == [(3, b"c")]
    await memory.commit(lease, record_write({"count": 2}, chunk=b"base", frees="earlier"))
    assert await numbers(client, memory) == [4]


async def test_a_last_number_that_is_far_too_high_does_not_block_the_server(
    memory: RedisMachineMemory, client: Redis
) -> None:
    """A read looks for all chunks up to it, and a commit frees them."""
    await commit(memory, chunk=b"a")
    lease = await leased(memory)
    await client.hset(memory._keys.machine("order-7"), "last_chunk", b"9" * 14)
    with pytest.raises(UnreadableRecordError, match="chunk 2 is missing"):
        await memory.read("order-7")
    await memory.commit(lease, record_write({"count": 2}, frees="all"))
    assert await numbers(client, memory) == []
    assert await memory.read("order-7") == {"count": 2}
