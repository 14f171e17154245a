"""What is refused before connecting, and that `connect` leaves no client behind."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from real_servers.fixtures import StartRedis

from arvo_redis import Server, TransportName, check_place
from arvo_redis._connect import ConnectionSettings
from arvo_time import SYSTEM_CLOCK, BackendError, ClosedError

SECOND = timedelta(seconds=1)


def connected(url: str, transport: TransportName = "auto") -> AbstractAsyncContextManager[Server]:
    return Server.connect(url, transport=transport, max_connections=4)


async def test_connecting_does_not_show_the_password() -> None:
    settings = ConnectionSettings(
        url="redis://:secret@host",
        transport="auto",
        max_connections=1,
        timeout=SECOND,
        clock=SYSTEM_CLOCK,
    )
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("transport", ["auto", "redis-py"])
@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@127.0.0.1:1?transport=redis-py",
        "redis://:secret@127.0.0.1:1?ssl_ca_certs=x",
        "rediss://:secret@127.0.0.1:1?ssl_cert_reqs=maybe",
        "rediss://:secret@127.0.0.1:1?ssl_ca_certs=/nowhere/ca.pem",
        "redis://:secret@127.0.0.1:1?decode_responses=True",
        "redis://:secret@127.0.0.1:1?encoding=latin-1",
        "redis://:secret@127.0.0.1:1?socket_connect_timeout=0",
        "http://:secret@127.0.0.1:1",
    ],
)
async def test_a_url_that_redis_py_cannot_use_is_a_value_error(
    url: str, transport: TransportName
) -> None:
    with pytest.raises(ValueError, match=r"redis-py|URL|client|above 0") as caught:
        async with connected(url, transport):
            raise AssertionError("it must not open")
    assert "secret" not in str(caught.value)


async def test_a_clock_of_another_type_is_refused() -> None:
    clock: Any = "now"
    with pytest.raises(TypeError, match="clock must be a Clock"):
        async with Server.connect("redis://127.0.0.1:1", clock=clock):
            raise AssertionError("it must not open")


@pytest.mark.parametrize("transport", ["auto", "multiplexed", "redis-py"])
async def test_a_missing_server_is_a_backend_error(transport: TransportName) -> None:
    with pytest.raises(BackendError) as caught:
        async with connected("redis://:secret@127.0.0.1:1", transport):
            raise AssertionError("it must not open")
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("transport", ["multiplexed", "redis-py"])
@pytest.mark.parametrize("login", ["", ":wrong@", "nobody:right@"])
async def test_a_refused_login_is_not_worth_another_try(
    start_redis: StartRedis, transport: TransportName, login: str
) -> None:
    server = start_redis()
    server.command("CONFIG", "SET", "requirepass", "right")
    place = f"{server.host}:{server.port}"
    with pytest.raises(BackendError, match=f"Redis at {place} refused the login: ") as caught:
        async with connected(f"redis://{login}{place}", transport):
            raise AssertionError("it must not open")
    assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


@pytest.mark.parametrize("transport", ["multiplexed", "redis-py"])
async def test_after_the_block_the_server_has_no_client_left(
    start_redis: StartRedis, transport: TransportName
) -> None:
    server = start_redis()
    async with connected(server.url, transport) as opened:
        assert await opened.ask("PING") in (b"PONG", True)
    assert len(str(server.command("CLIENT", "LIST")).splitlines()) == 1


@pytest.mark.parametrize("transport", ["multiplexed", "redis-py"])
async def test_closing_closes_the_connections_that_connect_opened(
    start_redis: StartRedis, transport: TransportName
) -> None:
    server = start_redis()
    async with connected(server.url, transport) as opened:
        await asyncio.gather(opened.aclose(), opened.aclose())
        assert len(str(server.command("CLIENT", "LIST")).splitlines()) == 1
        with pytest.raises(ClosedError):
            await opened.ask("PING")


@pytest.mark.parametrize("transport", ["multiplexed", "redis-py"])
async def test_closing_a_server_that_shares_a_client_leaves_it_open(
    start_redis: StartRedis, transport: TransportName
) -> None:
    async with connected(start_redis().url, transport) as opened:
        sharing = Server(opened)
        assert await sharing.ask("PING") in (b"PONG", True)
        await sharing.aclose()
        with pytest.raises(ClosedError):
            await sharing.ask("PING")
        assert await opened.ask("PING") in (b"PONG", True)


@pytest.mark.parametrize(
    "url", ["redis://host", "redis://host/", "rediss://host/3?db=4", "unix:///run/redis.sock"]
)
def test_a_valid_place_is_accepted(url: str) -> None:
    check_place(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("unix://", "names no socket"),
        ("unix://?db=1", "names no socket"),
        ("redis://host/shop", "number of a database"),
        ("rediss://host/1/2", "number of a database"),
    ],
)
def test_an_invalid_place_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_place(url)
