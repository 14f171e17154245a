"""Connections of our own to NATS."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from nats.aio.client import Client, Server
from nats.errors import AuthorizationError

from arvo_time import SYSTEM_RANDOM, Backoff, Clock
from arvo_time.logs import bounded_logger
from arvo_transport import TransportError

from ._failure import DRIVER_ERRORS

_logger = bounded_logger("arvo_transport_nats")

_RECONNECT: Final = Backoff(
    initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30), jitter=True
)
# Not "authentication timeout": a server that is slow to greet may be there in a moment.
_REFUSALS: Final = ("authorization violation", "authentication expired", "authentication revoked")
_CLOSING: Final = timedelta(seconds=1)
_PENDING_BYTES: Final = 16 * 1024 * 1024


def servers_of(url: str) -> list[str]:
    """Return one URL for each server of a URL that may name several, as `nats://a:4222,b:4222`."""
    scheme, _, rest = url.partition("://")
    user, at, hosts = rest.rstrip("/").rpartition("@")
    return [f"{scheme}://{user}{at}{host}" for host in hosts.split(",")]


def next_server(servers: Sequence[Server], _: Mapping[str, Any]) -> tuple[Server, float]:
    """Choose where to reconnect, and how long to wait before: full jitter, 0.25 s to 30 s."""
    server = min(servers, key=lambda each: each.reconnects)
    delay = _RECONNECT.delay(server.reconnects, random=SYSTEM_RANDOM)
    return server, delay.total_seconds()


@asynccontextmanager
async def connected(
    url: str,
    *,
    credentials: str | None,
    tls: ssl.SSLContext | None,
    reply_timeout: timedelta,
    clock: Clock,
) -> AsyncIterator[Client]:
    """Connect for as long as the block lasts, and reconnect within it for as long as it takes.

    Raises:
        TransportError: No server can be reached, it refuses the credentials, or they cannot be read.
    """
    if credentials is not None:
        _check_credentials(credentials)
    client = Client()
    options: dict[str, Any] = {
        "servers": servers_of(url),
        "name": "arvo",
        "error_cb": _on_error,
        "connect_timeout": max(1, round(reply_timeout.total_seconds())),
        "max_reconnect_attempts": -1,
        "reconnect_to_server_handler": next_server,
        "user_credentials": credentials,
        "pending_size": _PENDING_BYTES,
    }
    if tls is not None:
        options["tls"] = tls
    await _check(url, options, reply_timeout=reply_timeout, clock=clock)
    try:
        async with clock.timeout(reply_timeout):
            await client.connect(**options)
    except DRIVER_ERRORS as error:
        await _close(client, clock=clock)
        raise _unreachable(url, error) from error
    try:
        yield client
    finally:
        await _close(client, clock=clock)


def _check_credentials(file: str) -> None:
    """Say what is wrong with a file of credentials, which nats-py reads while it connects."""
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise _unusable(file, f"cannot be read: {error.strerror}") from error
    if find_spec("nkeys") is None:
        raise _unusable(file, "needs the package nkeys: pip install 'nats-py[nkeys]'")


def _unusable(file: str, why: str) -> TransportError:
    return TransportError(
        f"the file of NATS credentials {file!r} {why}; nothing was changed",
        retryable=False,
        outcome="failed",
    )


async def _check(
    url: str, options: Mapping[str, Any], *, reply_timeout: timedelta, clock: Clock
) -> None:
    """Try to connect once: a client that reconnects would try for ever, and not say why."""
    probe = Client()
    last: list[Exception] = []

    async def remember(error: Exception) -> None:
        last.append(error)

    once = {**options, "allow_reconnect": False, "max_reconnect_attempts": 1, "error_cb": remember}
    del once["reconnect_to_server_handler"]
    try:
        async with clock.timeout(reply_timeout):
            await probe.connect(**once)
    except DRIVER_ERRORS as error:
        cause = last[-1] if last else error
        raise _unreachable(url, cause) from cause
    finally:
        await _close(probe, clock=clock)


async def _close(client: Client, *, clock: Clock) -> None:
    """Close a client; not for ever, as nats-py waits for the end of a handshake that has failed."""
    # An assertion of nats-py fails where connect() has not come far, and would hide why.
    with suppress(*DRIVER_ERRORS, AssertionError):
        async with clock.timeout(_CLOSING):
            await client.close()


def _unreachable(url: str, error: Exception) -> TransportError:
    shown = ", ".join(_host(server) for server in servers_of(url))
    refused = isinstance(error, AuthorizationError) or any(
        each in str(error).lower() for each in _REFUSALS
    )
    why = (
        "it refused the credentials; check user, password or token"
        if refused
        else f"{type(error).__name__}: {error}"
    )
    return TransportError(
        f"NATS could not be reached at {shown}: {why}; nothing was changed",
        retryable=not refused,
        outcome="failed",
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


async def _on_error(error: Exception) -> None:
    _logger.debug("the connection to NATS: %s: %s", type(error).__name__, error)
