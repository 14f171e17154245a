"""Which transport carries the calls, and how a URL sets up connection and login."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import trustme
from real_servers.fixtures import StartRedis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import NextTimer
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._url import connect_url as by_url
from real_servers import FaultProxy, RedisCluster, RedisSentinel, RedisServer

from .clients import BUSY_MACHINE, subjects

# Before version 8, redis-py loses the error that a server sends before it closes the connection.
REFUSED = "max number of clients" + ("|Connection lost" if int(redis.__version__[0]) < 8 else "")


@pytest.fixture
def certificates() -> trustme.CA:
    return trustme.CA()


def clients_of(server: RedisServer) -> list[str]:
    """Return the server's list of its clients, without the one that asks."""
    listed = str(server.command("CLIENT", "LIST")).splitlines()
    return [line for line in listed if "cmd=client" not in line]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.name == "arvo_redis"]


async def busy(memory: RedisMachineMemory) -> None:
    """Write and read by many tasks concurrently."""

    async def step(machine_id: str) -> None:
        lease = await memory.acquire(machine_id)
        assert lease is not None
        await memory.commit(lease, record_write({"id": machine_id}))
        assert await memory.read(machine_id) == {"id": machine_id}

    await asyncio.gather(*(step(f"order-{number}") for number in range(30)))


@contextmanager
def refused_handshakes(context: ssl.SSLContext) -> Iterator[int]:
    """Offer TLS to clients that refuse it; in a thread, as a loop would report each refusal."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # closed
                    return
                with client, suppress(OSError):
                    context.wrap_socket(client, server_side=True)

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class TestChoice:
    async def test_one_server_gets_one_multiplexed_connection(
        self, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = start_redis()
        with caplog.at_level(logging.DEBUG, "arvo_redis"):
            async with RedisMachineMemory.connect(server.url) as memory:
                await busy(memory)
                assert len(clients_of(server)) == 1
        assert said(caplog) == [
            f"one multiplexed connection carries the calls to 127.0.0.1:{server.port}"
        ]

    async def test_redis_py_uses_a_pool_of_connections(self, start_redis: StartRedis) -> None:
        server = start_redis()
        async with RedisMachineMemory.connect(
            server.url, transport="redis-py", max_connections=4
        ) as memory:
            await busy(memory)
            assert 1 < len(clients_of(server)) <= 4

    @pytest.mark.parametrize("query", ["?transport=redis-py", "?client_name=a&transport=redis-py"])
    async def test_a_url_may_choose_the_transport(
        self, start_redis: StartRedis, query: str
    ) -> None:
        server = start_redis()
        async with by_url(server.url + query) as memory:
            await busy(memory)
            assert len(clients_of(server)) > 1

    async def test_a_cluster_gets_redis_py(
        self, redis_cluster: RedisCluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG, "arvo_redis"):
            async with RedisMachineMemory.connect(redis_cluster.url, prefix="choice:") as memory:
                await busy(memory)
                found = await subjects(memory)
                for machine_id in found:
                    assert await memory.cleanup(machine_id)
        assert len(found) == 30
        assert said(caplog) == [
            f"redis-py carries the calls to the Cluster of 127.0.0.1:{redis_cluster.nodes[0].port}"
        ]

    async def test_a_cluster_refuses_a_multiplexed_connection(
        self, redis_cluster: RedisCluster
    ) -> None:
        with pytest.raises(ValueError, match="cannot serve a Cluster"):
            async with RedisMachineMemory.connect(redis_cluster.url, transport="multiplexed"):
                pass

    async def test_a_sentinel_is_refused_with_a_remedy(self, redis_sentinel: RedisSentinel) -> None:
        with pytest.raises(ValueError, match="leads to a Sentinel"):
            async with RedisMachineMemory.connect(redis_sentinel.url):
                pass

    async def test_the_client_that_a_sentinel_returns_works(
        self, redis_sentinel: RedisSentinel, prefix: str
    ) -> None:
        watching: Any = Sentinel
        watch = watching([(redis_sentinel.host, redis_sentinel.port)])
        master = watch.master_for(redis_sentinel.service_name, retry=Retry(NoBackoff(), 0))
        async with master as client:
            memory = RedisMachineMemory(client, prefix=prefix)
            assert await memory.read("order-0") is None
            await busy(memory)
        for each in watch.sentinels:
            await each.aclose()
        assert int(str(redis_sentinel.master.command("DBSIZE"))) >= 30

    async def test_an_unknown_transport_is_refused(self) -> None:
        unknown: Any = "carrier-pigeon"
        with pytest.raises(ValueError, match="'auto', 'multiplexed', 'redis-py'"):
            async with RedisMachineMemory.connect("redis://localhost", transport=unknown):
                pass

    async def test_a_url_may_set_the_number_of_connections(self, start_redis: StartRedis) -> None:
        server = start_redis()
        url = f"{server.url}?transport=redis-py&max_connections=3"
        async with by_url(url) as memory:
            await busy(memory)
            assert 1 < len(clients_of(server)) <= 3

    @pytest.mark.parametrize(
        ("options", "query", "error", "message"),
        [
            ({"socket_timeout": 5}, "", TypeError, "socket_timeout must be a timedelta, got 5"),
            (
                {"socket_timeout": timedelta(0)},
                "",
                ValueError,
                "socket_timeout must be longer than zero",
            ),
            ({"max_connections": 0}, "", ValueError, "max_connections must be at least 1, got 0"),
            (
                {"socket_timeout": timedelta.max},
                "",
                ValueError,
                "socket_timeout must be at most 1 day",
            ),
            ({"max_connections": 10**9}, "", ValueError, "max_connections must be at most 10000"),
            ({"max_record_bytes": 0}, "", ValueError, "max_record_bytes must be at least 1"),
            ({"max_record_bytes": -1}, "", ValueError, "max_record_bytes must be at least 1"),
            ({"max_record_bytes": 1e6}, "", TypeError, "max_record_bytes must be an int"),
            ({"compress_above": -1}, "", ValueError, "compress_above must not be negative"),
            ({}, "?socket_timeout=0", ValueError, "must be above 0, got 0"),
        ],
    )
    async def test_wrong_settings_are_refused(
        self,
        connect_url: Any,
        options: dict[str, Any],
        query: str,
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            async with connect_url(f"redis://127.0.0.1:1{query}", **options):
                pass


class TestWayIn:
    async def test_a_user_without_a_password_can_log_in(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        server = start_redis()
        server.command("ACL", "SETUSER", "weak", "on", "nopass", "~*", "+@all")
        async with connect_url(server.url.replace("redis://", "redis://weak@")) as memory:
            await busy(memory)
            assert all("user=weak" in each for each in clients_of(server))

    async def test_a_permission_missing_inside_a_script_leaves_the_outcome_unknown(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        server = start_redis()
        server.command("ACL", "SETUSER", "weak", "on", "nopass", "~*", "+@all", "-hdel")
        async with connect_url(server.url.replace("redis://", "redis://weak@")) as memory:
            lease = await memory.acquire("order-7")
            assert lease is not None
            with pytest.raises(MachineMemoryError, match="user_script") as caught:
                await memory.commit(lease, record_write({"count": 1}))
            assert caught.value.outcome == "unknown"
            assert await memory.read("order-7") == {"count": 1}

    async def test_the_documented_permissions_are_enough(self, start_redis: StartRedis) -> None:
        server = start_redis()
        server.command(
            *["ACL", "SETUSER", "arvo", "on", ">p@ss", "~{arvo:*", "-@all"],
            *["+evalsha", "+eval", "+hmget", "+hset", "+hget", "+hdel", "+hexists"],
            *["+pexpire", "+persist", "+del", "+time", "+scan", "+pttl", "+pexpiretime"],
            *["+zadd", "+zrem", "+zscore", "+zcard", "+zrange", "+zrevrange", "+zrandmember"],
            *["+zrangebyscore", "+zrevrangebyscore", "+zrangebylex"],
        )
        url = server.url.replace("redis://", f"redis://arvo:{quote('p@ss')}@")
        async with RedisMachineMemory.connect(url) as memory:
            await busy(memory)
            lease = await memory.acquire("order-7")
            assert lease is not None
            timer = NextTimer(at=datetime(2020, 2, 29, tzinfo=UTC), key="pay#1")
            await memory.commit(lease, record_write({}, timer=timer))
            assert await memory.next_due() == timer.at
            assert len(await memory.claim_due(limit=5, hold=timedelta(seconds=30))) == 1
            assert "user=arvo" in clients_of(server)[0]

    async def test_a_database_that_does_not_exist_is_reported_by_connect(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        """Not only when the first event comes."""
        with pytest.raises(MachineMemoryError, match=r"(?i)db index|invalid database") as caught:
            async with connect_url(f"redis://127.0.0.1:{start_redis().port}/99"):
                raise AssertionError("it must not open")
        assert caught.value.outcome == "failed"

    @pytest.mark.parametrize("right", ["select", "client"])
    async def test_a_login_without_a_needed_permission_is_refused_by_connect(
        self, start_redis: StartRedis, right: str
    ) -> None:
        """Even if the user has the name of a command that may be missing."""
        server = start_redis()
        server.command("ACL", "SETUSER", "hello", "on", "nopass", "~*", "+@all", f"-{right}")
        url = server.url.replace("redis://", "redis://hello@").rstrip("/").removesuffix("/0")
        with pytest.raises(MachineMemoryError, match=f"'{right}") as caught:
            async with RedisMachineMemory.connect(f"{url}/3?client_name=shop"):
                raise AssertionError("it must not open")
        assert caught.value.outcome == "failed"

    async def test_a_wrong_password_is_reported_by_connect_and_not_shown(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        server = start_redis()
        server.command("CONFIG", "SET", "requirepass", "right")
        url = f"redis://:wrong@127.0.0.1:{server.port}"
        with pytest.raises(MachineMemoryError) as caught:
            async with connect_url(url):
                pass
        assert caught.value.outcome == "failed"
        assert not caught.value.retryable, "a worker would wait for an engine that is there"
        assert "WRONGPASS" in str(caught.value) or "invalid username" in str(caught.value)
        assert "wrong@" not in str(caught.value)

    async def test_a_missing_password_is_reported(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        server = start_redis()
        server.command("CONFIG", "SET", "requirepass", "right")
        with pytest.raises(MachineMemoryError, match=r"NOAUTH|Authentication"):
            async with connect_url(f"redis://127.0.0.1:{server.port}"):
                pass

    async def test_a_url_may_set_the_database_and_the_client_name(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        server = start_redis()
        url = f"redis://127.0.0.1:{server.port}/3?client_name=shop"
        async with connect_url(url) as memory:
            await busy(memory)
            assert all(" db=3 " in each and "name=shop" in each for each in clients_of(server))
        assert "db3:keys=36," in str(server.command("INFO", "keyspace"))

    async def test_a_unix_socket_works(self, connect_url: Any, start_redis: StartRedis) -> None:
        async with connect_url(start_redis().unix_url) as memory:
            await busy(memory)

    async def test_tls_works(
        self,
        connect_url: Any,
        start_redis: StartRedis,
        certificates: trustme.CA,
        tmp_path: Path,
    ) -> None:
        server = start_redis()
        trusted = tmp_path / "ca.pem"
        certificates.cert_pem.write_to_path(str(trusted))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificates.issue_cert("127.0.0.1").configure_cert(context)
        async with FaultProxy.open(port=server.port, ssl=context) as proxy:
            url = f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={trusted}"
            # A handshake takes 50 ms of this process, which does both sides of it: a few are enough.
            async with connect_url(url, max_connections=4, socket_timeout=BUSY_MACHINE) as memory:
                await busy(memory)

    async def test_an_untrusted_certificate_is_refused(
        self, connect_url: Any, certificates: trustme.CA
    ) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificates.issue_cert("127.0.0.1").configure_cert(context)
        with refused_handshakes(context) as port:
            with pytest.raises(MachineMemoryError, match="certificate") as caught:
                async with connect_url(f"rediss://127.0.0.1:{port}"):
                    pass
            assert caught.value.outcome == "failed"

    async def test_a_client_above_the_limit_of_the_server_gets_its_error(
        self, connect_url: Any, start_redis: StartRedis
    ) -> None:
        server = start_redis()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(b"CONFIG SET maxclients 1\r\n")
            assert await reader.readline() == b"+OK\r\n"
            with pytest.raises(MachineMemoryError, match=REFUSED) as caught:
                async with connect_url(server.url):
                    pass
            assert caught.value.retryable
        finally:
            writer.close()
