"""Chooses what carries the calls to the server or Cluster of a URL."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from redis.exceptions import ResponseError

from arvo_time import SYSTEM_CLOCK, BackendError, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_clock, check_count, check_duration

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
from ._transport import Transport

TransportName: TypeAlias = Literal["auto", "multiplexed", "redis-py"]
"""What carries calls; see `connect`."""

# Far above what servers accept.
_MOST_CONNECTIONS: Final = 10_000
_DAY: Final = timedelta(days=1)
_NO_HELLO: Final = re.compile(
    r"(?:unknown|unsupported) command\W+hello\b|permissions? to run the 'hello'", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to reach the server or Cluster of a URL.

    Raises:
        TypeError: `timeout` is not a timedelta, `max_connections` is not an int, or `clock` is not a
            `Clock`.
        ValueError: There is no transport of that name, or a number is too small or too large.
    """

    url: str = field(repr=False)
    """The URL of one server, or of one node of a Cluster."""
    transport: TransportName
    """What carries calls."""
    max_connections: int
    """How many calls redis-py may have pending, 1 to 10,000."""
    timeout: timedelta
    """How long to wait for a connection and for an answer; above 0, at most a day."""
    clock: Clock
    """For pauses and timeouts."""
    scope: str
    """The package that connects, for its logger and its tracer."""

    def __post_init__(self) -> None:
        if self.transport not in get_args(TransportName):
            names = ", ".join(map(repr, get_args(TransportName)))
            raise ValueError(f"transport must be one of {names}, got {self.transport!r}")
        check_duration(self.timeout, name="socket_timeout", above_zero=True, most=_DAY)
        check_count(self.max_connections, name="max_connections", least=1, most=_MOST_CONNECTIONS)
        check_clock(self.clock)


@asynccontextmanager
async def connect(
    url: str,
    *,
    transport: TransportName,
    max_connections: int,
    socket_timeout: timedelta,
    clock: Clock = SYSTEM_CLOCK,
    scope: str = "arvo_redis",
) -> AsyncIterator[Transport]:
    """Connect to a server or Cluster for as long as the block lasts.

    Close each `Server` on the transport within the block, which waits for its calls in flight: at the
    end of the block, redis-py aborts them.

    Args:
        url: `redis://host:port/db`, `rediss://` for TLS, or `unix://path?db=0`, with any other option
            that redis-py reads from a URL. One node of a Cluster is enough.
        transport: What carries calls. `multiplexed`: one connection to one server for all tasks.
            `redis-py`: its client with a pool of connections. `auto`: redis-py for a Cluster,
            otherwise multiplexed.
        max_connections: How many calls redis-py may have pending, 1 to 10,000; others wait.
        socket_timeout: How long to wait for a connection, and how long a server may send nothing
            while an answer is outstanding; through redis-py, how long a call may take. Above 0, at
            most a day.
        clock: For pauses and timeouts.
        scope: The package that connects: its logger reports at debug level what carries the calls, and
            its tracer makes the spans.

    Raises:
        ValueError: redis-py does not understand the URL, or the URL asks for decoded replies or an
            encoding other than UTF-8, leads to a Sentinel, or leads to a Cluster with
            `transport="multiplexed"`; there is no such transport; or a number or timeout is too
            small or too large.
        TypeError: `socket_timeout` is not a timedelta, `max_connections` is not an int, or `clock` is
            not a `Clock`.
        BackendError: The server cannot be reached or refuses the login.
    """
    settings = ConnectionSettings(
        url=url,
        transport=transport,
        max_connections=max_connections,
        timeout=socket_timeout,
        clock=clock,
        scope=scope,
    )
    async with AsyncExitStack() as stack:
        opened, name = await stack.enter_async_context(_one_server(settings))
        mode = await _mode_of(opened, settings)
        if mode == "sentinel":
            raise ValueError(
                "the URL leads to a Sentinel, which keeps no data; use the client of redis-py's "
                "Sentinel(...).master_for(...) instead of a URL"
            )
        carrier = "redis-py" if transport == "redis-py" else "one multiplexed connection"
        if mode == "cluster":
            if transport == "multiplexed":
                raise ValueError(
                    "one multiplexed connection cannot serve a Cluster; connect with "
                    "transport='auto' or transport='redis-py'"
                )
            await stack.aclose()
            opened = await stack.enter_async_context(_cluster(settings))
            carrier, name = "redis-py", f"the Cluster of {name}"
        bounded_logger(scope).debug("%s carries the calls to %s", carrier, name)
        yield opened


@asynccontextmanager
async def _one_server(settings: ConnectionSettings) -> AsyncIterator[tuple[Transport, str]]:
    """Connect to one server; yield the transport and the server's name for messages."""
    async with aclosing(redis_py_client(settings.url, connect_timeout=settings.timeout)) as client:
        # Made even where it carries no calls: it reads URLs and refuses some.
        redis_py = _redis_py(client, settings)
        endpoint = Endpoint.of(client, timeout=settings.timeout)
        if settings.transport == "redis-py":
            yield redis_py, endpoint.name
            return
        async with aclosing(MultiplexedTransport(endpoint, clock=settings.clock)) as multiplexed:
            yield multiplexed, endpoint.name


@asynccontextmanager
async def _cluster(settings: ConnectionSettings) -> AsyncIterator[Transport]:
    client = redis_py_cluster_client(settings.url, connect_timeout=settings.timeout)
    async with aclosing(client):
        transport = _redis_py(client, settings)
        await _server(transport, settings).ask("PING")  # finds the other nodes
        yield transport


def _redis_py(client: RedisClient, settings: ConnectionSettings) -> RedisPyTransport:
    return RedisPyTransport(
        client,
        max_calls=min(settings.max_connections, most_connections(client)),
        timeout=settings.timeout,
        clock=settings.clock,
    )


def _server(transport: Transport, settings: ConnectionSettings) -> Server:
    return Server(transport, clock=settings.clock, scope=settings.scope)


async def _mode_of(transport: Transport, settings: ConnectionSettings) -> str:
    """Return `standalone`, `cluster` or `sentinel`."""
    try:
        answer: Any = await _server(transport, settings).ask("HELLO")
    except BackendError as error:
        # A proxy that supports fewer commands, or a user with few permissions. A refused login is
        # not accepted.
        if isinstance(error.__cause__, ResponseError) and _NO_HELLO.search(str(error.__cause__)):
            return "standalone"
        raise
    # RESP3 has maps; in RESP2 they are lists of key, value, key, value.
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2])  # noqa: B905
    mode: bytes = dict(pairs).get(b"mode", b"standalone")
    return mode.decode()
