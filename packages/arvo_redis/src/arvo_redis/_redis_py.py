"""redis-py as a transport."""

import asyncio
from codecs import lookup
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, TimeoutError as RedisTimeoutError
from typing_extensions import override

from arvo_time import SYSTEM_CLOCK, Clock

from ._endpoint import server_attributes
from ._transport import Script, Transport, Word

RedisClient: TypeAlias = Redis | RedisCluster
"""A client of `redis.asyncio`."""

_NO_LIMIT: Final = 2**31 - 1


class RedisPyTransport(Transport):
    """Commands through a client of redis-py."""

    def __init__(
        self,
        client: RedisClient,
        *,
        max_calls: int | None = None,
        timeout: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Use a client.

        Args:
            client: It must return bytes, and must not repeat calls by itself.
            max_calls: How many calls may be pending; further ones wait, which redis-py's pools would
                refuse. None leaves that to the client.
            timeout: How long a call may take. None leaves that to the client, which before
                Python 3.12 makes a task for each call.
            clock: For the timeout.

        Raises:
            TypeError: It is not one of redis-py's asyncio clients.
            ValueError: The client would damage bytes or hide lost replies.
        """
        _check_client(client)
        self._client: Any = client  # redis-py types its calls as both sync and async
        self._call_limit = nullcontext() if max_calls is None else asyncio.Semaphore(max_calls)
        self._timeout = timeout
        self._clock = clock

    @property
    @override
    def attributes(self) -> dict[str, str | int]:
        # A Cluster has many addresses, and a Sentinel may name another one at any time.
        if isinstance(self._client, RedisCluster) or isinstance(
            self._client.connection_pool, SentinelConnectionPool
        ):
            return {}
        settings = self._client.connection_pool.connection_kwargs
        path = settings.get("path")
        return server_attributes(
            address=path or settings.get("host", "localhost"),
            port=None if path else settings.get("port", 6379),
            db=settings.get("db") or 0,
        )

    @property
    @override
    def ordered(self) -> bool:
        return False  # each call has a connection of its own

    @property
    @override
    def clustered(self) -> bool:
        return isinstance(self._client, RedisCluster)

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        try:
            return await self._ask(self._client.evalsha, script.sha, 1, key, *arguments)
        except NoScriptError:
            return await self._ask(self._client.eval, script.source, 1, key, *arguments)

    @override
    async def send(self, command: str, *words: Word) -> Any:
        return await self._ask(self._client.execute_command, command, *words)

    @override
    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        keys = self._client.scan_iter(match=pattern, count=1000)
        while (key := await self._ask(anext, keys, None)) is not None:
            yield key

    @override
    def pubsub(self) -> Any:
        return self._client.pubsub()

    async def _ask(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        async with self._call_limit:
            if self._timeout is None:
                return await _cancellable(call(*arguments))
            try:
                async with self._clock.timeout(self._timeout):
                    return await _cancellable(call(*arguments))
            except TimeoutError as error:
                allowed = self._timeout.total_seconds()
                raise RedisTimeoutError(f"no reply within {allowed:g} s") from error


def redis_py_client(url: str, *, connect_timeout: timedelta) -> Redis:
    """Return a client of one server that is not connected yet and does not repeat calls."""
    return Redis.from_url(url, **_settings(connect_timeout), decode_responses=False)


def redis_py_cluster_client(url: str, *, connect_timeout: timedelta) -> RedisCluster:
    """Return a client of a Cluster that is not connected yet; the URL names one of its nodes."""
    return RedisCluster.from_url(url, **_settings(connect_timeout))


def most_connections(client: RedisClient) -> int:
    """Return how many connections a client makes to one server before it refuses calls."""
    if isinstance(client, RedisCluster):
        most: int = client.connection_kwargs.get("max_connections", _NO_LIMIT)
        return most
    return int(client.connection_pool.max_connections)


def _settings(connect_timeout: timedelta) -> dict[str, Any]:
    return {
        "socket_timeout": None,  # the transport has one
        "socket_connect_timeout": connect_timeout.total_seconds(),
        "max_connections": _NO_LIMIT,
        "retry": Retry(NoBackoff(), 0),
    }


async def _cancellable(call: Awaitable[Any]) -> Any:
    """Await a call of redis-py, and raise a cancellation that it has swallowed.

    It sends through `asyncio.wait_for`, which before Python 3.12 sometimes swallows one.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await call
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _check_client(client: object) -> None:
    settings: dict[str, Any]
    retry: Retry | None
    if isinstance(client, RedisCluster):
        settings, retry = client.connection_kwargs, client.retry
        if client.read_from_replicas or client.load_balancing_strategy:
            raise ValueError(
                "the client reads from replicas, which lag behind; "
                "make one without a load_balancing_strategy"
            )
    elif isinstance(client, Redis):
        settings, retry = client.connection_pool.connection_kwargs, client.get_retry()
    else:
        raise TypeError(
            "client must be a redis.asyncio.Redis or redis.asyncio.RedisCluster, "
            f"got {type(client).__name__}"
        )
    if settings.get("decode_responses"):
        raise ValueError(
            "the client has decode_responses=True, which damages stored "
            "bytes; make one with decode_responses=False"
        )
    encoding = settings.get("encoding", "utf-8")
    if lookup(encoding).name != "utf-8":
        raise ValueError(
            f"the client has encoding={encoding!r}, with which other clients would not "
            "find its keys; make one with encoding='utf-8'"
        )
    # Without a retry policy, redis-py repeats the errors that these two settings name once.
    implied = 1 if settings.get("retry_on_timeout") or settings.get("retry_on_error") else 0
    retries = implied if retry is None else retry.get_retries()
    if retries != 0:
        times = "without end" if retries < 0 else f"up to {retries} times"
        raise ValueError(
            f"the client silently repeats a call {times}, "
            "which hides lost replies and makes every wait longer; Arvo repeats calls itself "
            "where that is safe, so make a client with retry=Retry(NoBackoff(), 0)"
        )
