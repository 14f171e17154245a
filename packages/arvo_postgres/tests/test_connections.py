"""Connections are opened, lent, kept and given back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from arvo_postgres import Connections, InvalidDsnError
from arvo_time import BackendError, ClosedError
from arvo_time.testing import FakeClock

from .conftest import Connect, fetch, runner_on

HOUR = timedelta(hours=1)


async def test_a_task_that_waits_for_a_connection_gets_it_next(
    connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is kept for its last user only while no other task wants it."""
    monkeypatch.setattr("arvo_postgres._connections._IDLE_TIME", HOUR)
    async with connect_to(pool_size=2) as connections:
        runner = runner_on(connections)
        answers = await asyncio.gather(
            *(runner.run("TEST", "SELECT $1::int", count) for count in range(20)),
        )
        assert [answer.row[0] for answer in answers] == list(range(20))


async def test_connections_of_an_owned_pool_are_kept_between_statements(
    connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is what makes it fast; counted, not measured."""
    monkeypatch.setattr("arvo_postgres._connections._IDLE_TIME", HOUR)
    async with connect_to() as connections:
        runner = runner_on(connections)
        await runner.run("TEST", "SELECT 1")
        pool = connections._pool
        assert (pool.get_size(), pool.get_idle_size()) == (1, 0)
        for _ in range(3):
            await runner.run("TEST", "SELECT 1")
        assert (pool.get_size(), pool.get_idle_size()) == (1, 0)


async def test_idle_connections_go_back_to_the_pool(connect_to: Connect) -> None:
    """There asyncpg closes them when they have been idle for long."""
    async with connect_to(pool_size=3) as connections:
        runner = runner_on(connections)
        await asyncio.gather(*(runner.run("TEST", "SELECT 1") for _ in range(10)))
        pool = connections._pool
        async with asyncio.timeout(5):
            while pool.get_idle_size() < 3:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_idle_connections_go_back_by_the_clock(connect_to: Connect) -> None:
    clock = FakeClock()
    async with connect_to(clock=clock) as connections:
        await runner_on(connections).run("TEST", "SELECT 1")
        pool = connections._pool
        assert (clock.pending, pool.get_idle_size()) == (1, 0)
        clock.advance(HOUR)
        async with asyncio.timeout(5):
            while not pool.get_idle_size():  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_closing_leaves_no_session_on_the_server(
    postgres_dsn: str, connect_to: Connect
) -> None:
    """Each closed connection has ended its session."""
    async with connect_to(pool_size=3) as connections:
        runner = runner_on(connections)
        calls = (runner.run("TEST", "SELECT pg_backend_pid()") for _ in range(10))
        pids = {answer.row["pg_backend_pid"] for answer in await asyncio.gather(*calls)}
        assert len(pids) == 3
    left = list(pids)
    for _ in range(100):
        rows = await fetch(
            postgres_dsn, "SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)", pids
        )
        left = [row["pid"] for row in rows]
        if not left:
            break
    assert left == []


async def test_a_borrowed_pool_stays_open_and_gets_connections_back_after_each_statement(
    postgres_dsn: str,
) -> None:
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=2) as pool:
        connections = Connections(pool)
        await runner_on(connections).run("TEST", "SELECT 1")
        assert pool.get_size() == pool.get_idle_size()
        await connections.aclose()
        with pytest.raises(ClosedError):
            await connections.take("TEST")
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_closed_pool_lends_nothing(connect_to: Connect) -> None:
    async with connect_to() as connections:
        await connections.aclose()
        await connections.aclose()
        with pytest.raises(ClosedError, match="READ was not sent") as caught:
            await connections.take("READ")
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


async def test_a_pool_that_does_not_close_in_time_is_terminated(connect_to: Connect) -> None:
    clock = FakeClock()
    async with connect_to(clock=clock) as connections:
        lent = await connections.take("TEST")
        closing = asyncio.ensure_future(connections.aclose())
        async with asyncio.timeout(5):
            while not clock.pending:  # noqa: ASYNC110
                await asyncio.sleep(0)
        clock.advance(timedelta(seconds=10))
        await closing
        with pytest.raises(asyncpg.InterfaceError):
            await lent.execute("SELECT 1")


async def test_a_second_close_waits_for_the_first_one(connect_to: Connect) -> None:
    async with connect_to() as connections:
        lent = await connections.take("TEST")
        closings = [asyncio.ensure_future(connections.aclose()) for _ in range(2)]
        for _ in range(3):
            await asyncio.sleep(0)
        assert not any(closing.done() for closing in closings)
        await connections.give_back(lent)
        await asyncio.gather(*closings)
        assert connections._pool.get_size() == 0


async def test_an_exhausted_pool_is_an_error_in_time(postgres_dsn: str) -> None:
    async with (
        asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as pool,
        pool.acquire(),
    ):
        connections = Connections(pool, pool_timeout=timedelta(milliseconds=50))
        with pytest.raises(BackendError, match="raise pool_size") as caught:
            await connections.take("READ")
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.fixture
async def deaf_port() -> AsyncIterator[int]:
    """Return a port that accepts connections and never answers."""
    ends: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: ends.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in ends:
        writer.close()
    server.close()


async def test_a_server_that_never_answers_is_an_error_in_time(deaf_port: int) -> None:
    dsn = f"postgresql://user:secret@127.0.0.1:{deaf_port}/none"
    with pytest.raises(BackendError, match="accepted no connection") as caught:
        async with Connections.connect(dsn, pool_timeout=timedelta(milliseconds=50)):
            raise AssertionError("it must not open")
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")


async def test_an_unreachable_server_is_an_error_without_the_password() -> None:
    with pytest.raises(BackendError, match="could not be reached") as caught:
        async with Connections.connect("postgresql://user:secret@127.0.0.1:1/none"):
            raise AssertionError("it must not open")
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "dsn", ["nonsense://user:secret@host/x", "postgresql://user:secret@host:port/x"]
)
async def test_an_invalid_dsn_is_a_value_error_without_the_password(dsn: str) -> None:
    with pytest.raises(InvalidDsnError) as caught:
        async with Connections.connect(dsn):
            raise AssertionError("it must not open")
    assert isinstance(caught.value, ValueError)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "value", "kind", "why"),
    [
        ("pool_size", 0, ValueError, "be at least 1, got 0"),
        ("pool_size", 10_001, ValueError, "be at most 10000, got 10001"),
        ("pool_size", True, TypeError, "be an int"),
        ("statement_cache_size", -1, ValueError, "not be negative"),
        ("statement_cache_size", 1.5, TypeError, "be an int"),
        ("pool_timeout", timedelta(0), ValueError, "be longer than zero"),
        ("pool_timeout", timedelta.max, ValueError, "be at most 1 day"),
        ("pool_timeout", 10, TypeError, "be a timedelta"),
        ("clock", 7, TypeError, "be a Clock"),
    ],
)
async def test_a_wrong_setting_is_refused_by_name(
    name: str, value: object, kind: type[Exception], why: str
) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(kind, match=f"{name} must {why}"):
        async with Connections.connect("postgresql://127.0.0.1:1/none", **options):
            raise AssertionError("it must not open")
