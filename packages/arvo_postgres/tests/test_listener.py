"""A listener hears its channel, whatever becomes of its connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from arvo_postgres import Connections, Listener
from arvo_time import BackendError, ClosedError
from arvo_time.testing import FakeClock

from .conftest import Connect, behind_proxy, fetch

CHANNEL = 'a "channel"'
PATIENCE = 60


class Heard:
    """What a listener heard, and a way to wait for it."""

    def __init__(self) -> None:
        self.pids: list[int | None] = []
        self._changed = asyncio.Event()

    def __call__(self, pid: int | None) -> None:
        self.pids.append(pid)
        self._changed.set()

    async def at_least(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.pids) < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listening(
    connections: Connections, heard: Heard, clock: FakeClock
) -> AsyncIterator[Listener]:
    listener = Listener(connections, channel=CHANNEL, on_notification=heard, clock=clock)
    listener.start()
    try:
        yield listener
    finally:
        await listener.aclose()


async def notify(dsn: str) -> int:
    """Tell the channel, and return the process that did."""
    sql = "SELECT pg_notify($1, 'x'), pg_backend_pid() AS pid"
    ((_, pid),) = await fetch(dsn, sql, CHANNEL)
    return int(pid)


async def run_until(clock: FakeClock, done: Callable[[], Awaitable[bool]]) -> None:
    """Let the time pass until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not await done():
            await clock.run_for(timedelta(seconds=1))


async def test_it_hears_its_channel(postgres_dsn: str, connect_to: Connect) -> None:
    """Begun twice, it listens once."""
    heard = Heard()
    async with connect_to() as connections, listening(connections, heard, FakeClock()) as listener:
        listener.start()
        await heard.at_least(1)
        pids = [await notify(postgres_dsn) for _ in range(3)]
        await heard.at_least(4)
        assert heard.pids == [None, *pids]


async def test_it_begins_again_when_its_connection_was_ended(
    postgres_dsn: str, connect_to: Connect
) -> None:
    """And says so, as something may have been told meanwhile."""
    heard, clock = Heard(), FakeClock()
    name = "listens"
    dsn = f"{postgres_dsn}?application_name={name}"
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
    async with Connections.connect(dsn) as connections, listening(connections, heard, clock):
        await heard.at_least(1)
        for count in (2, 3):
            assert await fetch(postgres_dsn, end, name)

            async def again(wanted: int = count) -> bool:
                return len(heard.pids) >= wanted

            await run_until(clock, again)
        pid = await notify(postgres_dsn)
        await heard.at_least(4)
        assert heard.pids == [None, None, None, pid]


async def test_it_notices_that_nobody_answers(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that drops packets says nothing, so it is asked from time to time."""
    heard, clock = Heard(), FakeClock()
    async with (
        behind_proxy(postgres_dsn) as (proxy, connections),
        listening(connections, heard, clock),
    ):
        await heard.at_least(1)
        connected = proxy.connections
        proxy.pause()

        async def given_up() -> bool:
            return proxy.connections > connected

        async def begun_again() -> bool:
            return len(heard.pids) > 1

        with monkeypatch.context() as patch:
            patch.setattr("arvo_postgres._listener._PATIENCE", timedelta(milliseconds=100))
            await run_until(clock, given_up)
        proxy.resume()
        await run_until(clock, begun_again)
        before = len(heard.pids)
        pid = await notify(postgres_dsn)
        await heard.at_least(before + 1)
        assert heard.pids[-1] == pid


async def test_it_connects_when_the_server_can_be_reached(postgres_dsn: str) -> None:
    heard, clock = Heard(), FakeClock()
    async with behind_proxy(postgres_dsn) as (proxy, connections):
        proxy.refusing = True
        async with listening(connections, heard, clock):
            before = proxy.connections

            async def tried() -> bool:
                return proxy.connections > before + 3

            await run_until(clock, tried)
            assert heard.pids == []
            proxy.refusing = False

            async def begun() -> bool:
                return bool(heard.pids)

            await run_until(clock, begun)


async def test_closing_ends_its_session_and_task(postgres_dsn: str) -> None:
    """Whether it has connected or not, and also if it never began."""
    name = "listened"
    tasks = asyncio.all_tasks()
    async with Connections.connect(f"{postgres_dsn}?application_name={name}") as connections:
        heard = Heard()
        async with listening(connections, heard, FakeClock()) as listener:
            await heard.at_least(1)
        await listener.aclose()
        async with listening(connections, heard, FakeClock()):
            pass
        never: Any = Listener(
            connections, channel=CHANNEL, on_notification=heard, clock=FakeClock()
        )
        await never.aclose()
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
    async with asyncio.timeout(PATIENCE):
        while (await fetch(postgres_dsn, count, name))[0]["count"]:
            pass
    assert asyncio.all_tasks() == tasks


async def test_a_connection_can_be_opened_beside_the_pool(postgres_dsn: str) -> None:
    """With the settings of the pool, and although all of its connections are lent."""
    connecting = Connections.connect(postgres_dsn, pool_size=1, read_only=True)
    async with connecting as connections:
        assert connections.can_open
        lent = await connections.take("TEST")
        opened = await connections.open("TEST")
        assert await opened.fetchval("SHOW default_transaction_read_only") == "on"
        await opened.close()
        await connections.give_back(lent)
    with pytest.raises(ClosedError):
        await connections.open("TEST")


async def test_a_connection_beside_the_pool_says_why_it_is_not_there(postgres_dsn: str) -> None:
    """A borrowed pool does not say where it leads; a server may be gone."""
    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=1) as pool:
        borrowed = Connections(pool)
        assert not borrowed.can_open
        with pytest.raises(ValueError, match="does not say where"):
            await borrowed.open("TEST")
    async with behind_proxy(postgres_dsn) as (proxy, connections):
        proxy.refusing = True
        with pytest.raises(BackendError) as caught:
            await connections.open("TEST")
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
