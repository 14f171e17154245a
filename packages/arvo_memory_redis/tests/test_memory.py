"""Promises of this memory that the suites do not cover."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from typing_extensions import override

from arvo_event_handler import (
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.memory import LockPolicy, Record
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_time.testing import SpanRecorder

from .clients import Connect, leased, subjects

POLICY = LockPolicy(max_wait=timedelta(0), max_hold=timedelta(minutes=10))
LARGE: Record = {"text": "x" * 300_000}


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


async def send(client: Any, *words: str | bytes) -> Any:
    return await client.execute_command(*words)


async def only_key(client: Redis, prefix: str) -> bytes:
    (key,) = [each async for each in client.scan_iter(match=f"{{{prefix}[0-9]*")]
    assert isinstance(key, bytes)
    return key


class TestBorrowedClient:
    async def test_a_client_that_was_passed_in_works_and_stays_open(
        self, client: Redis, prefix: str
    ) -> None:
        memory = RedisMachineMemory(client, prefix=prefix)
        await memory.write("order-7", {"count": 1}, None)
        await memory.aclose()
        assert await send(client, "PING")

    async def test_a_client_that_decodes_replies_is_refused(self, redis_url: str) -> None:
        async with Redis.from_url(redis_url, decode_responses=True) as client:
            with pytest.raises(ValueError, match="decode_responses"):
                RedisMachineMemory(client)

    @pytest.mark.parametrize(
        ("settings", "times"),
        [
            ({}, "up to"),  # as often as the installed version does by default
            ({"retry": Retry(NoBackoff(), 1)}, "up to 1 times"),
            ({"retry": Retry(NoBackoff(), -1)}, "without end"),
            ({"retry": None, "retry_on_error": [OSError]}, "up to 1 times"),
        ],
    )
    async def test_a_client_that_repeats_calls_is_refused(
        self, settings: dict[str, Any], times: str
    ) -> None:
        async with Redis(**settings) as client:
            with pytest.raises(ValueError, match=f"silently repeats a call {times}"):
                RedisMachineMemory(client)

    async def test_a_client_that_writes_keys_in_another_encoding_is_refused(self) -> None:
        async with Redis(encoding="latin-1", retry=Retry(NoBackoff(), 0)) as client:
            with pytest.raises(ValueError, match="encoding='latin-1'"):
                RedisMachineMemory(client)

    async def test_a_client_that_is_not_asynchronous_is_refused(self) -> None:
        with pytest.raises(TypeError, match="asyncio"):
            RedisMachineMemory(BlockingRedis())  # type: ignore[arg-type]

    async def test_a_url_that_decodes_replies_is_refused(
        self, connect_url: Connect, redis_url: str
    ) -> None:
        with pytest.raises(ValueError, match="decode_responses"):
            async with connect_url(f"{redis_url}?decode_responses=True"):
                pass


class TestErrors:
    async def test_a_missing_server_fails_immediately_without_showing_the_password(
        self, connect_url: Connect
    ) -> None:
        with pytest.raises(MachineMemoryError) as caught:
            async with connect_url("redis://:secret@127.0.0.1:1/0"):
                pass
        assert caught.value.outcome == "failed"
        assert "secret" not in str(caught.value)

    async def test_a_record_above_the_limit_is_refused(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> None:
        async with connect_url(
            redis_url, prefix=prefix, max_record_bytes=100, compress_above=None
        ) as memory:
            with pytest.raises(MachineMemoryError, match="max_record_bytes=100") as caught:
                await memory.write("order-7", LARGE, None)
            assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
            assert await memory.read("order-7") is None


class TestStoredHash:
    async def test_a_workflow_that_never_committed_expires(
        self, memory: RedisMachineMemory, client: Redis, prefix: str
    ) -> None:
        lease = await memory.acquire("order-7")
        assert lease is not None
        key = await only_key(client, prefix)
        assert 1_190_000 < await client.pttl(key) <= 1_200_000
        await client.pexpire(key, 60_000)
        assert await memory.renew(lease)
        assert await client.pttl(key) > 1_190_000
        await memory.commit(lease, record_write({"count": 1}))
        assert await client.pttl(key) == -1

    async def test_a_bare_write_never_expires(
        self, memory: RedisMachineMemory, client: Redis, prefix: str
    ) -> None:
        """Neither under a lock, whose hash would expire, nor over a finished workflow, which would too."""
        assert await memory.lock("order-7")
        await memory.write("order-7", {"count": 1}, None)
        key = await only_key(client, prefix)
        assert await client.pttl(key) == -1
        await memory.unlock("order-7")
        lease = await memory.acquire("order-7")
        assert lease is not None
        await memory.commit(lease, record_write({"count": 2}, expires_in=timedelta(hours=1)))
        assert await client.pttl(key) > 0
        await memory.write("order-7", {"count": 3}, {"count": 2})
        assert await client.pttl(key) == -1

    async def test_a_write_over_a_workflow_that_was_started_again_meanwhile_is_refused(
        self, memory: RedisMachineMemory, redis_url: str, prefix: str
    ) -> None:
        """It was forgotten and has reached the same version again, with another last writer."""

        class Overtaken(Redis):
            @override
            async def execute_command(self, *args: Any, **options: Any) -> Any:
                execute: Any = super().execute_command
                reply = await execute(*args, **options)
                if args[0] == "HMGET":
                    await memory.cleanup("order-7")
                    await memory.write("order-7", {"by": "other"}, None)
                return reply

        await memory.write("order-7", {"by": "first"}, None)
        async with Overtaken.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
            late = RedisMachineMemory(client, prefix=prefix)
            with pytest.raises(TransactionViolation) as caught:
                await late.write("order-7", {"by": "late"}, {"by": "first"})
        assert caught.value.cause is TransactionViolationCause.VERSION_MOVED
        assert await memory.read("order-7") == {"by": "other"}

    async def test_a_large_record_is_compressed_and_tagged(
        self, memory: RedisMachineMemory, client: Redis, prefix: str
    ) -> None:
        await memory.write("order-7", LARGE, None)
        key = await only_key(client, prefix)
        assert await send(client, "HGET", key, "codec") == b"zlib"
        assert await send(client, "HSTRLEN", key, "state") < 10_000
        assert await memory.read("order-7") == LARGE

    async def test_a_small_record_is_stored_as_its_json(
        self, memory: RedisMachineMemory, client: Redis, prefix: str
    ) -> None:
        await memory.write("order-7", {"b": 1.0, "a": "ö"}, None)
        state = await send(client, "HGET", await only_key(client, prefix), "state")
        assert state == '{"b":1.0,"a":"ö"}'.encode()

    async def test_any_string_can_be_a_machine_id(self, memory: RedisMachineMemory) -> None:
        """Even one that is not valid UTF-8, such as a name read from the file system."""
        for number, name in enumerate(("order-\udce9", "order-\ud800")):
            lease = await memory.acquire(name)
            assert lease is not None
            await memory.commit(lease, record_write({"count": number}))
            await memory.write(name, {"last": number}, {"count": number})
            assert await memory.read(name) == {"last": number}
        assert await subjects(memory) == ["order-\ud800", "order-\udce9"]


class TestOperators:
    async def test_listings_show_the_workflows_of_the_prefix_that_have_a_record(
        self, connect_url: Connect, memory: RedisMachineMemory, redis_url: str, prefix: str
    ) -> None:
        for number in range(3):
            await memory.write(f"order-{number}", {"number": number}, None)
        assert await memory.lock("order-locked")
        async with connect_url(redis_url, prefix=f"{prefix}[x]*") as other:
            await other.write("order-7", {"other": True}, None)
            assert await subjects(other) == ["order-7"]
            assert await other.reindex() == 1
        assert await subjects(memory) == ["order-2", "order-1", "order-0"]
        assert await memory.reindex() == 3

    async def test_cleanup_forgets_the_record_and_the_lease(
        self, memory: RedisMachineMemory
    ) -> None:
        await memory.write("order-7", {"count": 1}, None)
        assert await memory.acquire("order-7") is not None
        assert await memory.cleanup("order-7") is True
        assert await memory.cleanup("order-7") is False
        lease = await memory.acquire("order-7")
        assert lease is not None
        assert (lease.version, lease.record) == (0, None)


class TestTelemetry:
    async def test_each_operation_has_a_span(self, memory: RedisMachineMemory) -> None:
        await memory.commit(await leased(memory), record_write({"count": 1}))
        with SpanRecorder() as recorder:
            lease = await memory.acquire("order-7")
            assert lease is not None
            await memory.commit(lease, record_write({"count": 2}))
        acquired, committed = recorder.spans
        assert (acquired.name, committed.name) == ("EVALSHA acquire", "EVALSHA commit")
        assert acquired.kind == "CLIENT"
        assert acquired.attributes["db.system.name"] == "redis"
        assert acquired.attributes["db.operation.name"] == "EVALSHA"
        assert acquired.attributes["db.stored_procedure.name"] == "acquire"
        assert "server.address" in acquired.attributes

    async def test_an_operation_of_a_closed_memory_makes_no_span(
        self, memory: RedisMachineMemory
    ) -> None:
        await memory.aclose()
        with SpanRecorder() as recorder:
            with pytest.raises(MachineMemoryError):
                await memory.read("order-7")
            with pytest.raises(MachineMemoryError):
                await memory.acquire("order-7")
        assert recorder.spans == ()

    async def test_the_span_of_a_refused_operation_names_the_error(
        self, memory: RedisMachineMemory, client: Redis, prefix: str
    ) -> None:
        await memory.write("order-7", {"count": 1}, None)
        await send(client, "SET", await only_key(client, prefix), "no hash")
        with SpanRecorder() as recorder, pytest.raises(MachineMemoryError):
            await memory.acquire("order-7")
        (span,) = recorder.spans
        assert (span.status, span.attributes["error.type"]) == ("ERROR", "ResponseError")

    async def test_a_large_record_leaves_a_warning(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> None:
        async with connect_url(redis_url, prefix=prefix, compress_above=None) as memory:
            tracer = trace.get_tracer("test")
            with SpanRecorder() as recorder, tracer.start_as_current_span("step"):
                await memory.write("order-7", LARGE, None)
        (step,) = [span for span in recorder.spans if span.name == "step"]
        (warning,) = step.events
        assert "bytes" in str(warning.attributes["message"])
