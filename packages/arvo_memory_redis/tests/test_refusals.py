"""No error of a server ends a workflow, and damage is distinguished from what passes."""

import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final, Literal

import pytest
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from arvo_core import ArvoEvent
from arvo_event_handler import (
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import MAX_RECORD_BYTES, LockPolicy, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._failure import memory_error
from arvo_memory_redis._stored_record import RecordLimits
from arvo_redis import RedisBackendError
from arvo_time import BackendError, ClosedError
from storm import answer_to, asking, question

from .clients import Connect, leased, subjects


def wrong_type(*, outcome: Literal["failed", "unknown"]) -> RedisBackendError:
    error = RedisBackendError(
        "no", doing="commit", code="WRONGTYPE", retryable=outcome == "unknown", outcome=outcome
    )
    error.__cause__ = ResponseError("WRONGTYPE no")
    return error


@pytest.mark.parametrize(
    "error",
    [
        BackendError("no", retryable=False, outcome="failed"),
        BackendError("no", retryable=True, outcome="unknown"),
        RedisBackendError("no", doing="commit", code="OOM", retryable=True, outcome="failed"),
        wrong_type(outcome="failed"),
        wrong_type(outcome="unknown"),
        ClosedError("no"),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'code', None)}-{error.outcome}",
)
def test_a_failure_of_the_client_does_not_end_a_workflow(error: BackendError) -> None:
    made = memory_error(error)
    assert not isinstance(made, UnwritableRecordError)
    assert (made.retryable, made.outcome) == (error.retryable, error.outcome)


def test_a_value_of_another_type_is_an_unreadable_record() -> None:
    made = memory_error(wrong_type(outcome="failed"))
    assert type(made) is UnreadableRecordError
    assert str(made) == "Redis could not commit: the key does not hold a hash: WRONGTYPE no"


def test_damage_does_not_hide_that_a_change_may_have_happened() -> None:
    made = memory_error(wrong_type(outcome="unknown"))
    assert (type(made), made.retryable, made.outcome) == (MachineMemoryError, True, "unknown")


# --- a workflow ---------------------------------------------------------------

NOW: Final = LockPolicy(max_wait=timedelta(0))


@pytest.mark.parametrize(
    ("during", "after", "words"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM|OutOfMemory"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY|ReadOnly"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
        ("ACL SETUSER default -hset", "ACL SETUSER default +hset", "permission|can't run"),
        ("ACL SETUSER default -hdel", "ACL SETUSER default +hdel", "permission|can't run"),
        ("ACL SETUSER default -evalsha -eval", "ACL SETUSER default +@all", "permission|can't run"),
    ],
)
async def test_a_refused_commit_does_not_end_its_workflow(
    connect_url: Connect, start_redis: StartRedis, during: str, after: str, words: str
) -> None:
    """Nothing is emitted, and the next delivery goes on."""
    server = start_redis()
    async with connect_url(server.url, policy=NOW) as memory:
        handler = asking(memory)
        event = question()
        [request] = await handler.execute(event)
        answer = answer_to(request)
        committing = memory.commit

        async def refused(*args: Any, **options: Any) -> None:
            server.command(*during.split())
            try:
                await committing(*args, **options)
            finally:
                server.command(*after.split())

        memory.commit = refused  # type: ignore[method-assign]
        with pytest.raises(TransactionViolation, match=words) as caught:
            await handler.execute(answer)
        assert caught.value.cause is TransactionViolationCause.WRITE_FAILURE
        assert caught.value.retryable
        memory.commit = committing  # type: ignore[method-assign]
        [done] = await handler.execute(answer)
        assert done.data == {"text": "good"}


async def test_a_record_above_the_limit_ends_only_its_own_workflow(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    async with connect_url(
        redis_url, prefix=prefix, max_record_bytes=20_000, compress_above=None
    ) as memory:
        [error] = await asking(memory).execute(question("x" * 30_000))
        assert error.data["errorName"] == "UnwritableRecordError"
        assert "max_record_bytes=20000" in error.data["errorMessage"]
        [request] = await asking(memory).execute(question())
        assert request.type == "com.storm.answerer"


async def test_json_that_compresses_well_is_bounded_when_written_and_when_read(
    redis_url: str, prefix: str, client: Redis
) -> None:
    """Otherwise unreadable records could be stored, and a few bytes could fill the memory."""
    async with RedisMachineMemory.connect(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        lease = await leased(memory, event.subject)
        with pytest.raises(UnwritableRecordError, match=f"above the {MAX_RECORD_BYTES}"):
            await memory.commit(lease, record_write({"text": "x" * MAX_RECORD_BYTES}))
        await memory.release(lease)
        inflates = zlib.compress(b" " * (MAX_RECORD_BYTES + 1), level=1)
        await damage(
            client, memory._keys.machine(event.subject), {"codec": b"zlib", "state": inflates}
        )
        await refused(memory, request, f"longer than the {MAX_RECORD_BYTES}")


def test_a_larger_limit_of_stored_bytes_raises_the_limit_of_the_json() -> None:
    """So records that may be written can be read."""
    assert RecordLimits(compress_above=None, max_record_bytes=1).max_json_bytes == MAX_RECORD_BYTES
    larger = RecordLimits(compress_above=None, max_record_bytes=MAX_RECORD_BYTES + 1)
    assert larger.max_json_bytes == MAX_RECORD_BYTES + 1


# --- damage -------------------------------------------------------------------

DAMAGE: Final[Mapping[str, tuple[dict[str, bytes | None], str]]] = {
    "version that is not a number": ({"version": b"x"}, r"positive number, got b'x'"),
    "negative version": ({"version": b"-1"}, r"positive number, got b'-1'"),
    "version zero": ({"version": b"0"}, r"positive number, got b'0'"),
    "version in another notation": ({"version": b"1e3"}, r"positive number, got b'1e3'"),
    "version that is not UTF-8": ({"version": b"\xff"}, "version must be a positive number"),
    "version of a million digits": ({"version": b"1" * 1_000_000}, "must be a positive number"),
    "no version": ({"version": None}, "positive number, got None"),
    "no codec": ({"codec": None}, "lacks its codec or its state"),
    "no state": ({"state": None}, "lacks its codec or its state"),
    "unknown codec": ({"codec": b"lz4"}, "codec 'lz4'"),
    "codec that is not UTF-8": ({"codec": b"\xff"}, "codec"),
    "no JSON": ({"state": b"{"}, "not a JSON object"),
    "no JSON in UTF-8": ({"state": b'{"a":"\xff"}'}, "not a JSON object"),
    "not compressed": ({"codec": b"zlib"}, "cannot be decompressed"),
}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


async def damage(client: Redis, key: str, fields: Mapping[str, bytes | None]) -> None:
    for name, value in fields.items():
        if value is None:
            await client.hdel(key, name)
        else:
            await client.hset(key, name, value)


async def refused(memory: RedisMachineMemory, request: ArvoEvent, words: str) -> None:
    with pytest.raises(TransactionViolation, match=words) as caught:
        await asking(memory).execute(answer_to(request))
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert not caught.value.retryable


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_damaged_hash_is_a_read_failure_and_leaves_no_lease(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis, kind: str
) -> None:
    fields, words = DAMAGE[kind]
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        key = memory._keys.machine(event.subject)
        await damage(client, key, fields)
        before = await client.hgetall(key)
        for _ in range(2):
            await refused(memory, request, words)
        assert await client.hgetall(key) == before, "unchanged and not leased"
        assert await client.pttl(key) == -1, "it is kept"
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.read(event.subject)
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.write(event.subject, {}, None)
        await memory.workflows(WorkflowQuery())  # whatever it can show


async def test_a_damaged_last_owner_is_a_read_failure_for_writers(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis
) -> None:
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        key = memory._keys.machine(event.subject)
        await damage(client, key, {"last_owner": b"\xff"})
        before = await client.hgetall(key)
        for _ in range(2):
            await refused(memory, request, "last_owner is damaged")
        assert await client.hgetall(key) == before, "unchanged and not leased"
        assert await memory.read(event.subject) is not None


async def test_a_key_of_another_type_is_a_read_failure(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis
) -> None:
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        key = memory._keys.machine(event.subject)
        await client.set(key, "something else")
        for _ in range(2):
            await refused(memory, request, "the key does not hold a hash")
        with pytest.raises(UnreadableRecordError, match="the key does not hold a hash"):
            await memory.read(event.subject)
        assert await client.get(key) == b"something else"


ENDS: Final = [b"x", b"", None, b"9" * 20, b"9" * 400, b"inf", b"-inf", b"nan", b"1e300"]


@pytest.mark.parametrize("end", ENDS)
async def test_a_lease_with_a_damaged_end_counts_as_ended(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis, end: bytes | None
) -> None:
    """The record is sound, and waiting for that lease could take indefinitely."""
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        stale = await leased(memory, event.subject)
        await damage(client, memory._keys.machine(event.subject), {"lease_end": end})
        [done] = await asking(memory).execute(answer_to(request))
        assert done.data == {"text": "good"}
        with pytest.raises(TransactionViolation) as caught:
            await memory.commit(stale, record_write({}))
        assert caught.value.cause.is_contention


async def test_a_lease_of_ten_years_is_respected(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    """A LockPolicy allows that many, so they are not taken for damage."""
    years = timedelta(days=3650)
    policy = LockPolicy(ttl=years, max_hold=years, max_wait=timedelta(0))
    async with connect_url(redis_url, prefix=prefix, policy=policy) as memory:
        await leased(memory, "order-7")
        assert await memory.acquire("order-7") is None


@pytest.mark.parametrize("subject", [b"\xff", None])
async def test_a_damaged_subject_is_reported_by_the_calls_that_show_it(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis, subject: bytes | None
) -> None:
    """Steps do not read it."""
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        await damage(client, memory._keys.machine(event.subject), {"subject": subject})
        with pytest.raises(UnreadableRecordError, match="subject is missing or damaged"):
            await memory.workflow(event.subject)
        assert await subjects(memory) == []
        assert (await memory.read(event.subject) or {})["status"] == "active"
        [done] = await asking(memory).execute(answer_to(request))
        assert done.data == {"text": "good"}
