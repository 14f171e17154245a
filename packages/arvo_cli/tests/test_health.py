"""The health of a worker, asked over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from arvo_cli._errors import CommandError
from arvo_cli._worker._health import health_place, serving_health
from arvo_cli._worker._life import Stage, WorkerLife
from arvo_time.testing import FakeClock

Ask = Callable[[bytes], Awaitable[bytes]]


@pytest.fixture
def life() -> WorkerLife:
    return WorkerLife(say=lambda text: None, clock=FakeClock())


@pytest.fixture
async def ask(life: WorkerLife) -> AsyncIterator[Ask]:
    """Send bytes, and return all that comes back until the connection is closed."""
    async with serving_health(("127.0.0.1", 0), life=life, status=lambda: {"served": 3}) as port:

        async def send(request: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            try:
                return await reader.read()
            finally:
                writer.close()

        yield send


def parsed(response: bytes) -> tuple[int, Any]:
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body) if body else None


async def test_ready_says_why_it_is_not(ask: Ask, life: WorkerLife) -> None:
    request = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
    assert parsed(await ask(request)) == (503, {"state": "starting", "reason": ""})
    life.enter(Stage.READY, "6 handlers")
    assert parsed(await ask(request)) == (200, {"state": "ready", "reason": "6 handlers"})
    for stage in (Stage.DEGRADED, Stage.DRAINING, Stage.GIVING_BACK, Stage.ENDED):
        life.enter(stage, "why")
        assert parsed(await ask(request)) == (503, {"state": stage.value, "reason": "why"})


async def test_live_is_200_all_the_while(ask: Ask, life: WorkerLife) -> None:
    for stage in Stage:
        life.enter(stage)
        status, shown = parsed(await ask(b"GET /live HTTP/1.0\r\n\r\n"))
        assert (status, shown["state"]) == (200, stage.value)


async def test_status_shows_what_the_worker_has_to_do(ask: Ask) -> None:
    assert parsed(await ask(b"GET /status?pretty HTTP/1.1\r\n\r\n")) == (200, {"served": 3})


async def test_head_has_no_body(ask: Ask) -> None:
    assert parsed(await ask(b"HEAD /status HTTP/1.1\r\n\r\n")) == (200, None)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /elsewhere HTTP/1.1\r\n\r\n", 404),
        (b"POST /live HTTP/1.1\r\n\r\n", 405),
        (b"GET live HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/live HTTP/1.1\r\n\r\n", 400),
        (b"GET /live HTTP/2\r\n\r\n", 400),
        (b"GET /live\r\n\r\n", 400),
        (b"GET  /live HTTP/1.1\r\n\r\n", 400),
        (b"G\xff\xffT /live HTTP/1.1\r\n\r\n", 400),
        (b"GET /live HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"", 400),
        (b"GET /live HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: value[:24].decode(errors="replace") if isinstance(value, bytes) else None,
)
async def test_what_is_no_question_is_refused(ask: Ask, request_: bytes, status: int) -> None:
    assert parsed(await ask(request_))[0] == status
    assert parsed(await ask(b"GET /live HTTP/1.1\r\n\r\n"))[0] == 200


async def test_a_new_connection_takes_the_place_of_the_one_that_is_silent_longest(
    life: WorkerLife,
) -> None:
    async with serving_health(("127.0.0.1", 0), life=life, status=dict) as port:
        oldest, *idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(32)]
        for asks in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /live HTTP/1.1\r\n\r\n")
            assert parsed(await reader.read())[0] == 200, asks
            writer.close()
        assert await oldest[0].read() == b""
        for reader, writer in idle:
            writer.write(b"GET /live HTTP/1.1\r\n\r\n")
            assert parsed(await reader.read())[0] == 200
            writer.close()
        oldest[1].close()


async def test_the_end_leaves_no_connection_and_no_task(
    life: WorkerLife, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.all_tasks()
    async with serving_health(("127.0.0.1", 0), life=life, status=dict) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    assert asyncio.all_tasks() == before
    for reader, writer in idle:
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    assert caplog.records == []


async def test_who_does_not_read_the_response_is_not_waited_for(
    life: WorkerLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arvo_cli._worker._health._PATIENCE", 0.1)
    large = "x" * 64 * 1024 * 1024
    before = asyncio.all_tasks()
    async with serving_health(("127.0.0.1", 0), life=life, status=lambda: large) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /status HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(12) == b"HTTP/1.1 200"
        others = asyncio.all_tasks() - before
        _, pending = await asyncio.wait(others, timeout=10)
        assert (len(others), pending) == (1, set())
        writer.transport.abort()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65_535)),
    ],
)
def test_places(text: str, place: tuple[str, int]) -> None:
    assert health_place(text) == place


@pytest.mark.parametrize(
    "text",
    ["", ":8080", "host", "host:", "host:x", "::1:80", "a b:1", "h:65536", "a..b:80", "\udcff:80"],
    ids=ascii,
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(CommandError, match="--health takes HOST:PORT"):
        health_place(text)
