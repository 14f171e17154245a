"""What each error of redis-py and of a server means, and that none of them ends a workflow."""

import importlib
import pkgutil
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import pytest
import redis.exceptions
from real_servers.fixtures import StartRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from arvo_core import ArvoEvent
from arvo_event_handler import (
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import MAX_RECORD_BYTES, LockPolicy
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._failure import DRIVER_ERRORS, failure, outcome_of
from arvo_memory_redis._record_limits import RecordLimits
from arvo_memory_redis._reply_error import reply_error
from real_servers import RedisFlavour
from storm import answer_to, asking, question

from .clients import Connect, leased

PASSES: Final = "may pass or be mended: the next delivery tries again"
LASTS: Final = "our call is wrong: not tried again"
DAMAGED: Final = "the key holds something else: not tried again, somebody has to look"
NOT_OURS: Final = "raised by parts of redis-py that are not used"

EXCEPTIONS: Final = {
    "AskError": PASSES,
    "AuthenticationError": PASSES,  # a password that is being changed
    "AuthenticationWrongNumberOfArgsError": PASSES,
    "AuthorizationError": PASSES,
    "BusyLoadingError": PASSES,
    "ChildDeadlockedError": NOT_OURS,
    "ClusterCrossSlotError": LASTS,
    "ClusterDownError": PASSES,
    "ClusterError": PASSES,
    "ConnectionError": PASSES,
    "CrossSlotTransactionError": LASTS,
    "DataError": LASTS,
    "ExecAbortError": PASSES,
    "ExternalAuthProviderError": PASSES,
    "IncorrectPolicyType": NOT_OURS,
    "InvalidPipelineStack": LASTS,
    "InvalidResponse": PASSES,
    "LockError": LASTS,
    "LockNotOwnedError": LASTS,
    "MasterDownError": PASSES,
    "MasterNotFoundError": PASSES,  # of a Sentinel
    "MaxConnectionsError": PASSES,
    "ModuleError": PASSES,
    "MovedError": PASSES,
    "NoPermissionError": PASSES,  # a right that an operator grants
    "NoScriptError": PASSES,
    "NoSuchFieldsetError": PASSES,
    "OutOfMemoryError": PASSES,
    "PubSubError": LASTS,
    "ReadOnlyError": PASSES,
    "RedisClusterException": PASSES,
    "RedisError": PASSES,
    "ResponseError": PASSES,
    "SlaveNotFoundError": PASSES,  # of a Sentinel
    "SlotNotCoveredError": PASSES,
    "TimeoutError": PASSES,
    "TryAgainError": PASSES,
    "WatchError": LASTS,
}
# The first word of an error reply.
CODES: Final = {
    "ASK": PASSES,
    "BUSY": PASSES,
    "BUSYGROUP": PASSES,
    "BUSYKEY": PASSES,
    "CLUSTERDOWN": PASSES,
    "CROSSSLOT": LASTS,
    "DENIED": PASSES,
    "ERR": PASSES,  # says nothing; proxies say it too
    "EXECABORT": PASSES,
    "INPROG": PASSES,
    "INVALIDOBJ": PASSES,
    "IOERR": PASSES,
    "LOADING": PASSES,
    "MASTERDOWN": PASSES,
    "MISCONF": PASSES,
    "MOVED": PASSES,
    "NOAUTH": PASSES,
    "NOGOODPRIMARY": PASSES,
    "NOGOODSLAVE": PASSES,
    "NOGROUP": PASSES,
    "NOMASTERLINK": PASSES,
    "NOPERM": PASSES,
    "NOPROTO": LASTS,
    "NOQUORUM": PASSES,
    "NOREPLICAS": PASSES,
    "NOSCRIPT": PASSES,
    "NOTBUSY": PASSES,
    "OOM": PASSES,
    "READONLY": PASSES,
    "REDIRECT": PASSES,
    "TRYAGAIN": PASSES,
    "UNBLOCKED": PASSES,
    "UNKILLABLE": PASSES,
    "WRONGPASS": PASSES,
    "WRONGTYPE": DAMAGED,
}
# Of those that a script of ours may meet: whether they come before its first write.
BEFORE_WRITES: Final = {
    *(
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
    ),
    *("TRYAGAIN", "WRONGTYPE", "NOAUTH", "WRONGPASS"),
}


def every_error() -> Iterator[type[Exception]]:
    """Yield what `redis.exceptions` has, and what all modules of redis-py derive from that."""
    for module in pkgutil.walk_packages(redis.__path__, "redis."):
        with suppress(ImportError):  # it needs what is not installed, and cannot be in use then
            importlib.import_module(module.name)
    bases: list[type[Exception]] = [
        kind
        for kind in vars(redis.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    while bases:
        bases += (kind := bases.pop()).__subclasses__()
        if kind.__module__.partition(".")[0] == "redis":
            yield kind


KINDS: Final = sorted({*every_error()}, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def judged(error: Exception) -> str:
    made = failure("commit", error, outcome="failed")
    assert not isinstance(made, UnwritableRecordError), "no error of a server ends a workflow"
    if isinstance(made, UnreadableRecordError):
        return DAMAGED
    return PASSES if made.retryable else LASTS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_redis_py_has_a_meaning(kind: type[Exception]) -> None:
    """One that a new redis-py brings and the table does not name fails here."""
    meaning = EXCEPTIONS[kind.__name__]
    if meaning == NOT_OURS:
        assert not issubclass(kind, DRIVER_ERRORS)
        return
    assert issubclass(kind, DRIVER_ERRORS)
    error = kind.__new__(kind)  # some take apart what a server says
    error.args = ("as the server says it",)
    assert judged(error) == meaning


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionResetError(), ConnectionRefusedError(), BrokenPipeError()]
)
def test_so_have_those_of_the_network(error: Exception) -> None:
    assert judged(error) == PASSES


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("inside", ["", "7", "6"], ids=["alone", "in-a-script", "before-redis-7"])
def test_every_error_code_has_a_meaning(code: str, inside: str) -> None:
    """Alone, and as the servers say that it happened inside a script."""
    text = {
        "": f"{code} no",
        "7": f"{code} no script: 1a2b, on @user_script:7.",
        "6": f"ERR Error running script (call to f_1a2b): @user_script:7: -{code} no",
    }[inside]
    error = reply_error(text)
    assert judged(error) == CODES[code]
    happened = outcome_of(error, handled=None)
    assert happened == ("unknown" if inside and code not in BEFORE_WRITES else "failed")


def test_every_code_that_a_server_knows_is_in_the_table(redis_flavour: RedisFlavour) -> None:
    """Its binary holds the beginnings of its error replies."""
    texts = redis_flavour.binary.read_bytes()
    known = {found.decode() for found in re.findall(rb"\0-([A-Z]{2,})[ \r]", texts)}
    assert {"ERR", "WRONGTYPE", "NOPERM", "OOM"} <= known, "there they are"
    assert known <= set(CODES)


def test_damage_does_not_hide_that_a_change_may_have_happened() -> None:
    made = failure("commit", reply_error("WRONGTYPE no"), outcome="unknown")
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
async def test_a_commit_that_is_refused_ends_no_workflow(
    connect_url: Connect, start_redis: StartRedis, during: str, after: str, words: str
) -> None:
    """Nobody is told, and the next delivery goes on."""
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


async def test_a_record_above_the_limit_ends_its_workflow_and_no_other(
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


async def test_what_compresses_well_is_bounded_when_written_and_when_read(
    redis_url: str, prefix: str, client: Redis
) -> None:
    """Or one could store what nobody can read any more, and a few bytes could fill the memory."""
    async with RedisMachineMemory.connect(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        lease = await leased(memory, event.subject)
        with pytest.raises(UnwritableRecordError, match=f"above the {MAX_RECORD_BYTES}"):
            await memory.commit(lease, {"text": "x" * MAX_RECORD_BYTES})
        await memory.release(lease)
        inflates = zlib.compress(b" " * (MAX_RECORD_BYTES + 1), level=1)
        await damage(client, memory._key(event.subject), {"codec": b"zlib", "state": inflates})
        await refused(memory, request, f"longer than the {MAX_RECORD_BYTES}")


def test_whoever_allows_larger_records_can_read_them() -> None:
    """The bound of the JSON grows with that of what is stored."""
    assert RecordLimits(compress_above=None, max_record_bytes=1).max_json_bytes == MAX_RECORD_BYTES
    larger = RecordLimits(compress_above=None, max_record_bytes=MAX_RECORD_BYTES + 1)
    assert larger.max_json_bytes == MAX_RECORD_BYTES + 1


# --- damage -------------------------------------------------------------------

DAMAGE: Final[Mapping[str, tuple[dict[str, bytes | None], str]]] = {
    "version that is no number": ({"version": b"x"}, r"version is b'x'"),
    "negative version": ({"version": b"-1"}, r"version is b'-1'"),
    "version zero": ({"version": b"0"}, r"version is b'0'"),
    "version in another writing": ({"version": b"1e3"}, r"version is b'1e3'"),
    "version that is not UTF-8": ({"version": b"\xff"}, "version is"),
    "version of a million digits": ({"version": b"1" * 1_000_000}, "version is"),
    "no version": ({"version": None}, "version is None"),
    "no codec": ({"codec": None}, "no codec or no state"),
    "no state": ({"state": None}, "no codec or no state"),
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
async def test_a_damaged_hash_is_a_read_failure_and_keeps_no_lease(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis, kind: str
) -> None:
    fields, words = DAMAGE[kind]
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        key = memory._key(event.subject)
        await damage(client, key, fields)
        before = await client.hgetall(key)
        for _ in range(2):
            await refused(memory, request, words)
        assert await client.hgetall(key) == before, "as it was, and nobody holds it"
        assert await client.pttl(key) == -1, "it is kept"
        for call in (memory.read, memory.get):
            with pytest.raises(UnreadableRecordError, match=words):
                await call(event.subject)
        with pytest.raises(UnreadableRecordError, match=words):
            await memory.write(event.subject, {}, None)
        with pytest.raises(UnreadableRecordError, match=words):
            [each async for each in memory.scan()]


async def test_a_writer_that_is_no_token_is_a_read_failure_for_who_would_write(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis
) -> None:
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        key = memory._key(event.subject)
        await damage(client, key, {"last_owner": b"\xff"})
        before = await client.hgetall(key)
        for _ in range(2):
            await refused(memory, request, "last_owner is damaged")
        assert await client.hgetall(key) == before, "as it was, and nobody holds it"
        assert await memory.read(event.subject) is not None


async def test_a_key_of_another_type_is_a_read_failure(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis
) -> None:
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        key = memory._key(event.subject)
        await client.set(key, "something else")
        for _ in range(2):
            await refused(memory, request, "the key is no hash")
        with pytest.raises(UnreadableRecordError, match="the key is no hash"):
            await memory.read(event.subject)
        assert await client.get(key) == b"something else"


ENDS: Final = [b"x", b"", None, b"9" * 20, b"9" * 400, b"inf", b"-inf", b"nan", b"1e300"]


@pytest.mark.parametrize("end", ENDS)
async def test_a_lease_whose_end_is_damaged_has_ended(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis, end: bytes | None
) -> None:
    """The record is whole, and nobody could wait for that lease."""
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        stale = await leased(memory, event.subject)
        await damage(client, memory._key(event.subject), {"lease_end": end})
        [done] = await asking(memory).execute(answer_to(request))
        assert done.data == {"text": "good"}
        with pytest.raises(TransactionViolation) as caught:
            await memory.commit(stale, {})
        assert caught.value.cause.is_contention


async def test_a_lease_may_last_as_long_as_a_policy_says(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    """Ten years are no damage."""
    years = timedelta(days=3650)
    policy = LockPolicy(ttl=years, max_hold=years, max_wait=timedelta(0))
    async with connect_url(redis_url, prefix=prefix, policy=policy) as memory:
        await leased(memory, "order-7")
        assert await memory.acquire("order-7") is None


@pytest.mark.parametrize("subject", [b"\xff", None])
async def test_a_damaged_subject_is_told_where_it_is_shown(
    connect_url: Connect, redis_url: str, prefix: str, client: Redis, subject: bytes | None
) -> None:
    """Steps do not need it."""
    async with connect_url(redis_url, prefix=prefix, policy=NOW) as memory:
        event = question()
        [request] = await asking(memory).execute(event)
        await damage(client, memory._key(event.subject), {"subject": subject})
        with pytest.raises(UnreadableRecordError, match="subject is missing or damaged"):
            await memory.get(event.subject)
        assert (await memory.read(event.subject) or {})["status"] == "active"
        [done] = await asking(memory).execute(answer_to(request))
        assert done.data == {"text": "good"}
