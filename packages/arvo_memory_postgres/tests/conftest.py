import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
from real_servers.fixtures import (
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    start_postgres as start_postgres,
)
from real_servers.postgres_sql import execute as execute, fetch as fetch, quoted as quoted

from arvo_event_handler.memory import MachineLease
from arvo_memory_postgres import PostgresMachineMemory
from real_servers import FaultProxy

Connect = Callable[..., AbstractAsyncContextManager[PostgresMachineMemory]]


@pytest.fixture(scope="session")
async def shared_schema(postgres_dsn: str) -> AsyncIterator[str]:
    """Return a schema whose name needs quoting; it is dropped after all tests."""
    name = f'test "{secrets.token_hex(6)}"'
    async with PostgresMachineMemory.connect(postgres_dsn, schema=name) as memory:
        await memory.migrate()
    yield name
    await execute(postgres_dsn, f"DROP SCHEMA {quoted(name)} CASCADE")


@pytest.fixture
async def schema(postgres_dsn: str, shared_schema: str) -> str:
    """Return a schema with empty tables."""
    await execute(postgres_dsn, f"TRUNCATE {quoted(shared_schema)}.machines CASCADE")
    return shared_schema


@pytest.fixture
async def no_schema(postgres_dsn: str) -> AsyncIterator[str]:
    """Return the name of a missing schema; it is dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    yield name
    await execute(postgres_dsn, f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")


@pytest.fixture
def connect_to(postgres_dsn: str, schema: str) -> Connect:
    """Return a function that opens memories on the empty schema."""

    def connect(**options: object) -> AbstractAsyncContextManager[PostgresMachineMemory]:
        return PostgresMachineMemory.connect(postgres_dsn, schema=schema, **options)  # type: ignore[arg-type]

    return connect


async def on_its_connection(memory: PostgresMachineMemory, sql: str) -> list[asyncpg.Record]:
    """Run a statement on the connection that the memory used last."""
    return (await memory._runner.run("TEST", sql)).rows


@asynccontextmanager
async def behind_proxy(
    dsn: str, schema: str
) -> AsyncIterator[tuple[FaultProxy, PostgresMachineMemory]]:
    """Open a memory with one connection, through a proxy that can cut it."""
    user, _, place = dsn.partition("@")
    address, _, database = place.partition("/")
    host, _, port = address.partition(":")
    async with FaultProxy.open(host=host, port=int(port or 5432)) as proxy:
        through = f"{user}@{proxy.host}:{proxy.port}/{database}"
        async with PostgresMachineMemory.connect(through, schema=schema, pool_size=1) as memory:
            yield proxy, memory


async def leased(memory: PostgresMachineMemory, machine_id: str = "order-7") -> MachineLease:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    return lease
