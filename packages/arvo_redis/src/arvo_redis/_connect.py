"""What carries the calls of a memory that connects by URL: the one place that knows."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from redis.exceptions import ResponseError

from arvo_event_handler import ConfigViolation, MachineMemoryError
from arvo_time import Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_count, check_duration

from ._endpoint import Endpoint
from ._multiplexed import MultiplexedTransport
from ._redis_py import (
    RedisClient,
    RedisPyTransport,
    most_connections,
    redis_py_client,
    redis_py_cluster_client,
)
from ._server import Server

TransportName: TypeAlias = Literal["auto", "multiplexed", "redis-py"]
"""What carries calls; `RedisMachineMemory.connect` tells them apart."""

_TRANSPORT_OPTION: Final = "transport="
# Far above what a server lets in.
_MOST_CONNECTIONS: Final = 10_000
_DAY: Final = timedelta(days=1)
_NO_HELLO: Final = re.compile(
    r"(?:unknown|unsupported) command\W+hello\b|permissions? to run the 'hello'", re.IGNORECASE
)
_logger: Final = bounded_logger("arvo_memory_redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to reach the server or Cluster of a URL.

    Raises:
        TypeError: `timeout` is no timedelta, or `max_connections` no int.
        ValueError: There is no transport of that name, or a number is too small or too large.
    """

    url: str = field(repr=False)
    """One server, or one node of a Cluster."""
    transport: TransportName
    """What carries calls. `from_url` reads it off a URL."""
    max_connections: int
    """How many calls redis-py may have under way, 1 to 10,000."""
    timeout: timedelta
    """How long to wait for a connection and for an answer; above 0, a day at most."""
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
        check_duration(self.timeout, name="socket_timeout", above_zero=True, most=_DAY)
        check_count(self.max_connections, name="max_connections", least=1, most=_MOST_CONNECTIONS)


@asynccontextmanager
async def open_server(settings: ConnectionSettings) -> AsyncIterator[Server]:
    """Reach a server or Cluster for as long as the block lasts; calls in flight are waited for.

    Raises:
        ValueError: The URL is none that redis-py understands.
        ConfigViolation: The transport does not fit what is there, or the URL damages bytes.
        MachineMemoryError: The server cannot be reached or refuses the login.
    """
    async with AsyncExitStack() as stack:
        server, name = await stack.enter_async_context(_one_server(settings))
        mode = await _mode_of(server)
        if mode == "sentinel":
            raise ConfigViolation(
                "RedisMachineMemory: the URL leads to a Sentinel, which keeps no workflows; give "
                "RedisMachineMemory(client) the client of redis-py's Sentinel(...).master_for(...)"
            )
        carrier = "redis-py" if settings.transport == "redis-py" else "one multiplexed connection"
        if mode == "cluster":
            if settings.transport == "multiplexed":
                raise ConfigViolation(
                    "RedisMachineMemory: one multiplexed connection cannot serve a Cluster; "
                    "connect with transport='auto' or transport='redis-py'"
                )
            await stack.aclose()
            server = await stack.enter_async_context(_cluster(settings))
            carrier, name = "redis-py", f"the Cluster of {name}"
        _logger.debug("%s carries the calls to %s", carrier, name)
        stack.push_async_callback(server.aclose)
        yield server


@asynccontextmanager
async def _one_server(settings: ConnectionSettings) -> AsyncIterator[tuple[Server, str]]:
    """Reach one server; also gives what people call it."""
    async with aclosing(redis_py_client(settings.url, connect_timeout=settings.timeout)) as client:
        # Also where it carries nothing: it is what reads URLs and refuses some.
        redis_py = _redis_py(client, settings)
        endpoint = Endpoint.of(client, timeout=settings.timeout)
        if settings.transport == "redis-py":
            yield Server(redis_py, clock=settings.clock), endpoint.name
            return
        async with aclosing(MultiplexedTransport(endpoint, clock=settings.clock)) as multiplexed:
            yield Server(multiplexed, clock=settings.clock), endpoint.name


@asynccontextmanager
async def _cluster(settings: ConnectionSettings) -> AsyncIterator[Server]:
    client = redis_py_cluster_client(settings.url, connect_timeout=settings.timeout)
    async with aclosing(client):
        server = Server(_redis_py(client, settings), clock=settings.clock)
        await server.ask("PING")  # finds the other nodes
        yield server


def _redis_py(client: RedisClient, settings: ConnectionSettings) -> RedisPyTransport:
    return RedisPyTransport(
        client,
        at_once=min(settings.max_connections, most_connections(client)),
        timeout=settings.timeout,
        clock=settings.clock,
    )


async def _mode_of(server: Server) -> str:
    """Return `standalone`, `cluster` or `sentinel`."""
    try:
        answer: Any = await server.ask("HELLO")
    except MachineMemoryError as error:
        # Something on the way that knows fewer commands, or a user with few rights. What the login
        # was refused is another matter.
        if isinstance(error.__cause__, ResponseError) and _NO_HELLO.search(str(error.__cause__)):
            return "standalone"
        raise
    # RESP3 has maps; in RESP2 they are lists of key, value, key, value.
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2])  # noqa: B905
    mode: bytes = dict(pairs).get(b"mode", b"standalone")
    return mode.decode()
