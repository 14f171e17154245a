"""Errors report whether a change may have happened, whether to try again, and what to do."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from real_servers.fixtures import StartPostgres

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory

from .conftest import Connect, behind_proxy, execute, leased, on_its_connection, quoted


@pytest.fixture
async def role(postgres_dsn: str, schema: str) -> AsyncIterator[str]:
    """Return a role that may use the tables, and whose login can be forbidden."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(postgres_dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    for what in (f"SCHEMA {quoted(schema)}", f"ALL TABLES IN SCHEMA {quoted(schema)}"):
        await execute(postgres_dsn, f"GRANT ALL ON {what} TO {name}")
    yield name
    await execute(postgres_dsn, f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_lost_commit_stays_in_doubt_when_the_server_refuses_the_login(
    postgres_dsn: str, schema: str, role: str
) -> None:
    """The second try was refused; the first may have taken effect."""
    dsn = f"postgresql://{role}:secret@{postgres_dsn.rpartition('@')[2]}"
    async with behind_proxy(dsn, schema) as (proxy, memory):
        lease = await leased(memory)
        await execute(postgres_dsn, f"ALTER ROLE {role} NOLOGIN")
        fault = proxy.lose_next_reply(containing=b"a mark in the record")
        with pytest.raises(MachineMemoryError) as caught:
            await memory.commit(lease, record_write({"mark": "a mark in the record"}))
        assert fault.happened.is_set()
        assert isinstance(caught.value.__cause__, asyncpg.InvalidAuthorizationSpecificationError)
        assert caught.value.outcome == "unknown"


async def test_a_lost_commit_stays_in_doubt_when_the_memory_is_closed(
    postgres_dsn: str, schema: str
) -> None:
    """It cannot be sent again, and may have taken effect."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory):
        lease = await leased(memory)
        fault = proxy.lose_next_reply(containing=b"a mark in the record")
        commit = asyncio.ensure_future(
            memory.commit(lease, record_write({"mark": "a mark in the record"}))
        )
        await fault.happened.wait()
        await memory.aclose()
        with pytest.raises(MachineMemoryError, match="closed") as caught:
            await commit
        assert caught.value.outcome == "unknown"


async def test_a_write_that_the_server_refuses_has_not_happened(
    connect_to: Connect, schema: str
) -> None:
    """With an answer there is no doubt."""
    async with connect_to() as memory:
        lease = await leased(memory)
        with pytest.raises(MachineMemoryError, match="DatetimeFieldOverflow") as caught:
            await memory.commit(lease, record_write({"count": 1}, expires_in=timedelta.max))
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
        await memory.commit(lease, record_write({"count": 1}))


async def test_the_first_call_survives_a_lost_connection(postgres_dsn: str, schema: str) -> None:
    """The check of the schema is repeated like any statement."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory):
        fault = proxy.lose_next_reply(containing=schema.encode())
        assert await memory.read("order-7") is None
        assert fault.happened.is_set()


async def test_the_first_call_ends_in_time(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """Another client, such as a migration, has locked the table of the version."""
    async with connect_to(statement_timeout=timedelta(milliseconds=100)) as memory:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {quoted(schema)}.machines_migrations")
                with pytest.raises(MachineMemoryError, match="statement_timeout") as caught:
                    await memory.write("order-7", {"count": 1}, None)
            assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        finally:
            await connection.close()
        await memory.write("order-7", {"count": 1}, None)


@pytest.fixture
async def deaf_port() -> AsyncIterator[int]:
    """Return a port that accepts connections and never answers."""
    ends: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: ends.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in ends:
        writer.close()
    server.close()


async def test_a_server_that_never_answers_is_not_reported_as_an_exhausted_pool(
    deaf_port: int,
) -> None:
    """The error does not name the wrong setting."""
    dsn = f"postgresql://user@127.0.0.1:{deaf_port}/none"
    short = timedelta(milliseconds=50)
    with pytest.raises(MachineMemoryError, match="accepted no connection") as caught:
        async with PostgresMachineMemory.connect(dsn, pool_timeout=short):
            raise AssertionError("it must not open")
    assert caught.value.retryable
    async with asyncpg.create_pool(dsn, min_size=0, max_size=2) as pool:
        memory = PostgresMachineMemory(pool, pool_timeout=short)
        with pytest.raises(MachineMemoryError, match="accepted no connection") as caught:
            await memory.read("order-7")
    assert (caught.value.retryable, caught.value.outcome) == (True, "failed")


@pytest.mark.parametrize(
    ("dsn", "retryable"),
    [
        ("postgresql://user:secret@127.0.0.1:1/none", True),
        ("nonsense://user:secret@host/x", False),
        ("postgresql://user:secret@host:port/x", False),
    ],
)
async def test_a_wrong_address_shows_no_password(dsn: str, retryable: bool) -> None:
    with pytest.raises(MachineMemoryError) as caught:
        async with PostgresMachineMemory.connect(dsn):
            raise AssertionError("it must not open")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("pool_size", 0, "be at least 1, got 0"),
        ("pool_size", 10_001, "be at most 10000, got 10001"),
        ("pool_size", 20_000_000, "be at most 10000"),
        ("pool_size", True, "be an int"),
        ("statement_cache_size", -1, "not be negative"),
        ("statement_cache_size", 1.5, "be an int"),
        ("max_record_bytes", 0, "be at least 1"),
        ("schema", "", "be a name"),
        ("statement_timeout", timedelta(0), "be longer than zero"),
        ("statement_timeout", timedelta(seconds=-1), "not be negative"),
        ("statement_timeout", 30, "be a timedelta"),
        ("pool_timeout", timedelta(0), "be longer than zero"),
        ("pool_timeout", timedelta.max, "be at most 1 day"),
        ("statement_timeout", timedelta.max, "be at most 1 day"),
    ],
)
async def test_a_wrong_setting_is_refused_by_name(name: str, value: object, why: str) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises((TypeError, ValueError), match=f"{name} must {why}"):
        async with PostgresMachineMemory.connect("postgresql://127.0.0.1:1/none", **options):
            raise AssertionError("it must not open")


async def test_an_answer_counts_even_if_the_connection_cannot_be_reset(
    postgres_dsn: str, schema: str
) -> None:
    """A borrowed pool resets connections; if that fails, the statement has still been run."""
    resets = 0

    async def fail(connection: asyncpg.Connection) -> None:
        nonlocal resets
        resets += 1
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async with asyncpg.create_pool(postgres_dsn, min_size=0, max_size=1, reset=fail) as pool:
        memory = PostgresMachineMemory(pool, schema=schema)
        await memory.commit(await leased(memory), record_write({"count": 1}))
        assert resets == 4  # two for the schema, and one for each of the two
        assert (await leased(memory)).version == 1


async def test_contention_under_strict_isolation_does_not_fail_an_acquire(
    postgres_dsn: str, schema: str
) -> None:
    """A database may have serializable transactions by default; the loser of a race just waits."""
    dsn = f"{postgres_dsn}?default_transaction_isolation=serializable"
    patient = LockPolicy(max_wait=timedelta(seconds=60))
    async with PostgresMachineMemory.connect(dsn, schema=schema, policy=patient) as memory:

        async def add() -> None:
            lease = await leased(memory)
            await memory.commit(lease, record_write({"count": lease.version + 1}))

        await asyncio.gather(*(add() for _ in range(30)))
        assert await memory.read("order-7") == {"count": 30}


async def test_a_connection_to_a_server_that_was_demoted_is_closed(connect_to: Connect) -> None:
    """After a failover, another connection may lead to the new primary."""
    async with connect_to(pool_size=1) as memory:
        await on_its_connection(memory, "SET default_transaction_read_only = on")
        await memory.write("order-7", {"count": 1}, None)
        await memory.commit(await leased(memory), record_write({"count": 2}))
        assert await memory.read("order-7") == {"count": 2}


async def test_a_write_to_a_server_that_takes_no_writes_is_retryable(
    start_postgres: StartPostgres,
) -> None:
    """It may be a replica for a moment, and nothing has happened."""
    server = start_postgres()
    async with PostgresMachineMemory.connect(server.dsn) as memory:
        await memory.migrate()
    await execute(server.dsn, "ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
    async with PostgresMachineMemory.connect(server.dsn) as memory:
        with pytest.raises(MachineMemoryError, match="target_session_attrs=read-write") as caught:
            await memory.acquire("order-7")
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        with pytest.raises(MachineMemoryError, match="TargetServerAttributeNotMatched") as caught:
            async with PostgresMachineMemory.connect(
                f"{server.dsn}?target_session_attrs=read-write"
            ):
                pass
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        await execute(
            server.dsn,
            "SET TRANSACTION READ WRITE;"
            "ALTER ROLE CURRENT_USER RESET default_transaction_read_only",
        )
        await memory.commit(await leased(memory), record_write({"count": 1}))
