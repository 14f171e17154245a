"""redis-py as a transport."""

from codecs import lookup
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from typing_extensions import override

from arvo_event_handler import ConfigViolation

from ._scripts import Script
from ._transport import Transport, Word

RedisClient: TypeAlias = Redis | RedisCluster
"""A client of redis-py's asyncio half."""


class RedisPyTransport(Transport):
    """Commands through a client of redis-py."""

    def __init__(self, client: RedisClient, *, owned: bool) -> None:
        """Use a client; `owned` ones are closed with the transport."""
        _check_client(client)
        self._client: Any = client  # redis-py types its calls as sync or async at once
        self._owned = owned

    @property
    @override
    def attributes(self) -> dict[str, str | int]:
        # A Cluster has many addresses, and a Sentinel tells another one any time.
        if isinstance(self._client, RedisCluster) or isinstance(
            self._client.connection_pool, SentinelConnectionPool
        ):
            return {}
        settings = self._client.connection_pool.connection_kwargs
        address = settings.get("path") or settings.get("host", "localhost")
        found: dict[str, str | int] = {
            "server.address": address,
            "db.namespace": str(settings.get("db") or 0),
        }
        if not settings.get("path"):
            found["server.port"] = settings.get("port", 6379)
        return found

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        try:
            return await self._client.evalsha(script.sha, 1, key, *arguments)
        except NoScriptError:
            return await self._client.eval(script.source, 1, key, *arguments)

    @override
    async def send(self, command: str, *words: Word) -> Any:
        return await self._client.execute_command(command, *words)

    @override
    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        async for key in self._client.scan_iter(match=pattern, count=1000):
            yield key

    @override
    async def aclose(self) -> None:
        if self._owned:
            await self._client.aclose()


def redis_py_client(url: str, *, max_connections: int, timeout: timedelta) -> RedisClient:
    """Return a client of a URL whose tasks wait for a connection when all are in use."""
    seconds = timeout.total_seconds()
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=None,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
    )
    return Redis.from_pool(pool)


def _check_client(client: object) -> None:
    settings: dict[str, Any]
    retry: Retry | None
    if isinstance(client, RedisCluster):
        settings, retry = client.connection_kwargs, client.retry
        if client.read_from_replicas or client.load_balancing_strategy:
            raise ConfigViolation(
                "RedisMachineMemory: the client reads from replicas, which lag behind; "
                "make one without a load_balancing_strategy"
            )
    elif isinstance(client, Redis):
        settings, retry = client.connection_pool.connection_kwargs, client.get_retry()
    else:
        raise ConfigViolation(
            "RedisMachineMemory: client must be a redis.asyncio.Redis or RedisCluster, "
            f"got {type(client).__name__}"
        )
    if settings.get("decode_responses"):
        raise ConfigViolation(
            "RedisMachineMemory: the client has decode_responses=True, which damages stored "
            "bytes; make one with decode_responses=False"
        )
    encoding = settings.get("encoding", "utf-8")
    if lookup(encoding).name != "utf-8":
        raise ConfigViolation(
            f"RedisMachineMemory: the client has encoding={encoding!r}, so that others would not "
            "find its keys; make one with encoding='utf-8'"
        )
    # Without a policy of its own, redis-py repeats once whatever these two name.
    implied = 1 if settings.get("retry_on_timeout") or settings.get("retry_on_error") else 0
    retries = implied if retry is None else retry.get_retries()
    if retries != 0:
        times = "without end" if retries < 0 else f"up to {retries} times"
        raise ConfigViolation(
            f"RedisMachineMemory: the client silently repeats a call {times}, "
            "which hides lost replies and makes every wait longer; the memory repeats what is "
            "safe to repeat, so make a client with retry=Retry(NoBackoff(), 0)"
        )
