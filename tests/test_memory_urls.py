"""The memories that Arvo brings, by URL: what one may say, and what is refused in one line."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings, strategies as st
from real_servers.fixtures import (
    StartRedis,
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    redis_flavour as redis_flavour,
    start_redis as start_redis,
)
from redis.asyncio import Redis

from arvo_cli import main
from arvo_cli._backend._memory_url import memory_of
from arvo_cli._errors import CommandError
from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy, MemoryUrl, connect_memory
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_postgres._url import connect_url as postgres_memory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._url import connect_url
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_redis import URL_OPTIONS

CONNECTS: dict[str, Callable[..., Any]] = {
    "memory": ConcurrentMachineMemory,
    "sqlite": SqliteMachineMemory.connect,
    "redis": RedisMachineMemory.connect,
    "postgresql": PostgresMachineMemory.connect,
}
NOT_TEXT = {"policy", "clock"}


def options_of(connect: Callable[..., Any]) -> set[str]:
    """The arguments of a memory's `connect` that text can express."""
    own = {
        name
        for name, parameter in inspect.signature(connect).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in NOT_TEXT
    }
    return own | {each.name for each in fields(LockPolicy)}


@pytest.mark.parametrize("scheme", CONNECTS)
def test_every_argument_of_connect_is_an_option(scheme: str) -> None:
    with pytest.raises(ValueError, match="there are ") as caught:
        MemoryUrl.parse("my:?zzz=1", connect=CONNECTS[scheme])
    listed = str(caught.value).partition("there are ")[2]
    assert set(listed.split(", ")) == options_of(CONNECTS[scheme])


@pytest.mark.parametrize(
    ("url", "policy"),
    [
        ("memory:?ttl=7s", LockPolicy(ttl=timedelta(seconds=7))),
        ("sqlite:///state.db?ttl=7s&synchronous=normal", LockPolicy(ttl=timedelta(seconds=7))),
    ],
)
async def test_a_policy_reaches_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, policy: LockPolicy
) -> None:
    monkeypatch.chdir(tmp_path)
    async with memory_of(url) as memory:
        assert memory.policy == policy  # type: ignore[attr-defined]


def test_memory_scheme_belongs_to_the_package_of_its_memory() -> None:
    (found,) = entry_points(group="arvo.machine_memory", name="memory")
    assert found.dist is not None
    assert found.dist.name == "arvo-concurrent"


async def test_memory_scheme_opens_the_memory_of_a_process() -> None:
    async with connect_memory("memory:?ttl=7s") as memory:
        assert isinstance(memory, ConcurrentMachineMemory)


async def test_options_of_redis(start_redis: StartRedis) -> None:
    server = start_redis()
    url = (
        f"redis://127.0.0.1:{server.port}/3?ttl=7s&prefix=shop%3A&client_name=arvo&socket_timeout=5"
        "&transport=redis-py&max_connections=2&compress_above=none&max_record_bytes=100"
    )
    async with connect_url(url) as memory:
        await memory.write("order-7", {"count": 1}, None)
        assert memory.policy.ttl == timedelta(seconds=7)
        assert "name=arvo" in str(server.command("CLIENT", "LIST"))
        with pytest.raises(MachineMemoryError, match="100"):
            await memory.write("order-8", {"text": "x" * 200}, None)
    assert "db3:keys=7" in str(server.command("INFO", "keyspace"))


async def test_options_of_postgres(postgres_dsn: str) -> None:
    schema = f"test_{token_hex(6)}"
    query = f"schema={schema}&table=orders&pool_size=2&statement_cache_size=0&ttl=7s&work_mem=1MB"
    async with postgres_memory(
        f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}{query}"
    ) as memory:
        await memory.write("order-7", {"count": 1}, None)
        assert memory.policy.ttl == timedelta(seconds=7)
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval(f"SELECT count(*) FROM {schema}.orders") == 1  # noqa: S608
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


REDIS_VALUES = {"ssl_min_version": "771", "protocol": "3", "ssl_cert_reqs": "required"}
REDIS_VALUES |= dict.fromkeys(("ssl_include_verify_flags", "ssl_exclude_verify_flags"), "")


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("unix:///run/redis.sock", URL_OPTIONS["unix"]),
        ("redis://host", URL_OPTIONS["redis"]),
        ("rediss://host", URL_OPTIONS["rediss"]),
    ],
)
def test_what_redis_py_is_left_it_understands(place: str, names: frozenset[str]) -> None:
    """An option that it does not know fails only when it makes a connection."""
    for name in names:
        value = REDIS_VALUES.get(name, "1")
        client: Any = Redis.from_url(f"{place}?{name}={value}")
        assert client.connection_pool.make_connection()


HOSTILE = [
    "postgresql://u:geheim7@[::1/x",
    "postgresql://u:geheim7@127.0.0.1:99999/x",
    "postgresql://u:geheim7@127.0.0.1/x?port=99999",
    "postgresql://u:geheim7@127.0.0.1:1/x?sslmode=maybe",
    "postgresql://u:geheim7@127.0.0.1:1/x?shema=x",
    "postgresql://u:geheim7@127.0.0.1:1/x?pool_size=0",
    "postgresql://u:geheim7@127.0.0.1:1/x?schema=%00",
    "postgresql://u:ge@heim7@127.0.0.1:1/x",
    "unix://",
    "unix:///nowhere/redis.sock",
    "redis://u:geheim7@127.0.0.1:1/shop",
    "redis://u:geheim7@127.0.0.1:1?db=x",
    "redis://u:geheim7@127.0.0.1:1?ssl_ca_certs=x",
    "redis://u:geheim7@127.0.0.1:1?retry=x",
    "redis://u:geheim7@127.0.0.1:1?decode_responses=True",
    "redis://u:geheim7@127.0.0.1:1?socket_timeout=0",
    "redis://u:geheim7@127.0.0.1:1?transport=pigeon",
    "redis://u:geheim7",
    "rediss://u:geheim7@127.0.0.1:1?ssl_cert_reqs=maybe",
    "sqlite://[::1",
    "sqlite:///x?mode=ro",
    "sqlite:///nowhere/x.db",
    "memory:here",
    "memory:?ttl=7",
    "://",
    "7:x",
    ":",
    "",
    "z" * 100_000 + "://u:geheim7@h",
    "nobody://u:geheim7@[h",
]


@pytest.fixture
def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Return a function that runs the command with a memory URL, and returns its messages."""
    monkeypatch.chdir(tmp_path)
    target = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets/greeter"

    def run(url: str) -> str:
        status = main(["run", str(target), "--events", "/dev/null", "--memory", url])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        return err

    return run


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: url[:60])
def test_a_url_that_is_none_is_one_clear_line_without_a_password(
    refusal: Callable[[str], str], url: str
) -> None:
    message = refusal(url)
    assert message.startswith("arvo: ")
    assert message.count("\n") == 1
    assert len(message) < 1000
    assert "heim7" not in message
    assert "Traceback" not in message
    assert "object has no attribute" not in message
    assert "__init__" not in message


PIECES = st.sampled_from(
    ["://", "//", ":", "@", "/", "?", "#", "&", "=", "[", "]", "%", "%4", "%40", ",", "u", "h",
     "::1", "5432", "99999", "ttl", "7s", "schema", "synchronous", "\n", "\0", " ", "é", "\ud800"]
)  # fmt: skip
URLS = st.builds(
    lambda scheme, rest: f"{scheme}:{''.join(rest)}",
    st.sampled_from(["memory", "sqlite", "redis", "rediss", "unix", "postgresql", "postgres"]),
    st.lists(PIECES, max_size=25),
)


@settings(max_examples=300, deadline=None)
@given(URLS)
def test_whatever_a_url_says_it_is_a_memory_or_one_line(url: str) -> None:
    """Nothing is connected here: it is only read."""
    message = refused(url)
    assert "\n" not in message
    assert len(message) < 1000


def refused(url: str) -> str:
    """Return why a URL is refused; empty when it is not."""
    try:
        memory_of(url)
    except CommandError as error:
        return str(error)
    return ""
