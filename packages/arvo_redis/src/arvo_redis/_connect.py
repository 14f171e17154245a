"""Chooses what carries the calls to the server or Cluster of a URL."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from redis.exceptions import AuthenticationError, ResponseError

from arvo_time import BackendError, Clock
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
from ._transport import Transport

TransportName: TypeAlias = Literal["auto", "multiplexed", "redis-py"]
"""What carries calls; see `Server.connect`."""

Ask: TypeAlias = Callable[[Transport, str], Awaitable[Any]]
"""Sends a command that may run twice; raises a `BackendError`."""

_logger: Final = bounded_logger("arvo_redis")
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

    def __post_init__(self) -> None:
        if self.transport not in get_args(TransportName):
            names = ", ".join(map(repr, get_args(TransportName)))
            raise ValueError(f"transport must be one of {names}, got {self.transport!r}")
        check_duration(self.timeout, name="socket_timeout", above_zero=True, most=_DAY)
        check_count(self.max_connections, name="max_connections", least=1, most=_MOST_CONNECTIONS)
        check_clock(self.clock)


@asynccontextmanager
async def open_transport(settings: ConnectionSettings, *, ask: Ask) -> AsyncIterator[Transport]:
    """Connect to a server or Cluster for as long as the block lasts.

    At the end of the block, redis-py aborts the calls in flight.

    Args:
        settings: The URL and how to connect to it.
        ask: Sends the first commands.

    Raises:
        ValueError: redis-py does not understand the URL, or the transport cannot serve what the URL
            leads to.
        BackendError: The server cannot be reached or, `retryable` being false, refuses the login.
    """
    async with AsyncExitStack() as stack:
        opened, name = await stack.enter_async_context(_one_server(settings))
        try:
            mode = await _mode_of(opened, ask)
        except BackendError as error:
            if isinstance(error.__cause__, AuthenticationError):
                raise _login_refused(name, error.__cause__) from error.__cause__
            raise
        if mode == "sentinel":
            raise ValueError(
                "the URL leads to a Sentinel, which keeps no data; use the client of redis-py's "
                "Sentinel(...).master_for(...) instead of a URL"
            )
        carrier = "redis-py" if settings.transport == "redis-py" else "one multiplexed connection"
        if mode == "cluster":
            if settings.transport == "multiplexed":
                raise ValueError(
                    "one multiplexed connection cannot serve a Cluster; connect with "
                    "transport='auto' or transport='redis-py'"
                )
            await stack.aclose()
            opened = await stack.enter_async_context(_cluster(settings, ask))
            carrier, name = "redis-py", f"the Cluster of {name}"
        _logger.debug("%s carries the calls to %s", carrier, name)
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
        async with aclosing(
            MultiplexedTransport(endpoint, clock=settings.clock, open_pubsub=client.pubsub)
        ) as multiplexed:
            yield multiplexed, endpoint.name


@asynccontextmanager
async def _cluster(settings: ConnectionSettings, ask: Ask) -> AsyncIterator[Transport]:
    client = redis_py_cluster_client(settings.url, connect_timeout=settings.timeout)
    async with aclosing(client):
        transport = _redis_py(client, settings)
        await ask(transport, "PING")  # finds the other nodes
        yield transport


def _redis_py(client: RedisClient, settings: ConnectionSettings) -> RedisPyTransport:
    return RedisPyTransport(
        client,
        max_calls=min(settings.max_connections, most_connections(client)),
        timeout=settings.timeout,
        clock=settings.clock,
    )


async def _mode_of(transport: Transport, ask: Ask) -> str:
    """Return `standalone`, `cluster` or `sentinel`."""
    try:
        answer: Any = await ask(transport, "HELLO")
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


def _login_refused(name: str, error: AuthenticationError) -> BackendError:
    """Return the error for a user or password that is wrong or missing.

    Here another try cannot help. Later one can: a password that was right may be in the middle of a
    change.
    """
    return BackendError(
        f"Redis at {name} refused the login: {type(error).__name__}: {error}; "
        "check user and password; nothing was changed",
        retryable=False,
        outcome="failed",
    )
