"""What carries the calls of a memory that connects by URL: the one place that knows."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from redis.exceptions import ResponseError

from arvo_event_handler import Clock, ConfigViolation, MachineMemoryError

from ._endpoint import Endpoint
from ._multiplexed import MultiplexedTransport
from ._redis_py import (
    RedisClient,
    RedisPyTransport,
    redis_py_client,
    redis_py_cluster_client,
)
from ._server import Server

TransportName: TypeAlias = Literal["auto", "multiplexed", "redis-py"]
"""What carries calls; `RedisMachineMemory.connect` tells them apart."""

_TRANSPORT_OPTION: Final = "transport="
_logger: Final = logging.getLogger("arvo_memory_redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to reach the server or Cluster of a URL.

    Raises:
        ValueError: There is no transport of that name.
    """

    url: str
    """One server, or one node of a Cluster."""
    transport: TransportName
    """What carries calls. `from_url` reads it off a URL."""
    max_connections: int
    """How many calls redis-py may have under way."""
    timeout: timedelta
    """How long to wait for a connection and for an answer."""
    clock: Clock
    """For pauses and timeouts."""

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        transport: TransportName,
        max_connections: int,
        timeout: timedelta,
        clock: Clock,
    ) -> Self:
        """Make settings of what was asked for, over which `?transport=` of the URL wins."""
        where, mark, query = url.partition("?")
        options = query.split("&")
        said = [each for each in options if each.startswith(_TRANSPORT_OPTION)]
        chosen: Any = said[-1].removeprefix(_TRANSPORT_OPTION) if said else transport
        return cls(
            url=where + mark + "&".join(each for each in options if each not in said),
            transport=chosen,
            max_connections=max_connections,
            timeout=timeout,
            clock=clock,
        )

    def __post_init__(self) -> None:
        if self.transport not in get_args(TransportName):
            names = ", ".join(map(repr, get_args(TransportName)))
            raise ValueError(f"transport must be one of {names}, got {self.transport!r}")


@asynccontextmanager
async def open_server(settings: ConnectionSettings) -> AsyncIterator[Server]:
    """Reach a server or Cluster for as long as the block lasts; calls in flight are waited for.

    Raises:
        ValueError: The URL is none that redis-py understands.
        ConfigViolation: The transport does not fit what is there, or the URL damages bytes.
        MachineMemoryError: The server cannot be reached or refuses the login.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_one_server(settings))
        mode = await _mode_of(server)
        if mode == "sentinel":
            raise ConfigViolation(
                "RedisMachineMemory: the URL leads to a Sentinel, which keeps no workflows; give "
                "RedisMachineMemory(client) the client of redis-py's Sentinel(...).master_for(...)"
            )
        if mode == "cluster":
            if settings.transport == "multiplexed":
                raise ConfigViolation(
                    "RedisMachineMemory: one multiplexed connection cannot serve a Cluster; "
                    "connect with transport='auto' or transport='redis-py'"
                )
            await stack.aclose()
            server = await stack.enter_async_context(_cluster(settings))
        stack.callback(server.close)
        yield server


@asynccontextmanager
async def _one_server(settings: ConnectionSettings) -> AsyncIterator[Server]:
    async with aclosing(redis_py_client(settings.url, connect_timeout=settings.timeout)) as client:
        # Also where it carries nothing: it is what reads URLs and refuses some.
        redis_py = _redis_py(client, settings)
        endpoint = Endpoint.of(client, timeout=settings.timeout)
        if settings.transport == "redis-py":
            _logger.debug("redis-py carries the calls to %s", endpoint.name)
            yield Server(redis_py, clock=settings.clock)
            return
        async with aclosing(MultiplexedTransport(endpoint, clock=settings.clock)) as multiplexed:
            _logger.debug("one multiplexed connection carries the calls to %s", endpoint.name)
            yield Server(multiplexed, clock=settings.clock)


@asynccontextmanager
async def _cluster(settings: ConnectionSettings) -> AsyncIterator[Server]:
    client = redis_py_cluster_client(settings.url, connect_timeout=settings.timeout)
    async with aclosing(client):
        _logger.debug("it belongs to a Cluster: redis-py carries the calls")
        server = Server(_redis_py(client, settings), clock=settings.clock)
        await server.ask("PING")  # finds the other nodes
        yield server


def _redis_py(client: RedisClient, settings: ConnectionSettings) -> RedisPyTransport:
    return RedisPyTransport(
        client,
        at_once=settings.max_connections,
        timeout=settings.timeout,
        clock=settings.clock,
    )


async def _mode_of(server: Server) -> str:
    """Return `standalone`, `cluster` or `sentinel`."""
    try:
        answer: Any = await server.ask("HELLO")
    except MachineMemoryError as error:
        if isinstance(error.__cause__, ResponseError):
            return "standalone"  # something on the way that knows fewer commands
        raise
    # RESP3 has maps; in RESP2 they are lists of key, value, key, value.
    known = (
        answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    )
    mode: bytes = known[b"mode"]
    return mode.decode()
