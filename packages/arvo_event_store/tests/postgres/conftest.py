import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from real_servers.fixtures import (
    last_postgres_flavour as last_postgres_flavour,
    postgres_dsn as postgres_dsn,
    postgres_server as postgres_server,
    start_postgres as start_postgres,
)
from real_servers.postgres_sql import execute as execute, fetch as fetch, quoted as quoted

from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.testing import Advance
from arvo_time import SYSTEM_CLOCK, Clock
from real_servers import FaultProxy, PostgresFlavour

Show = Callable[[str], None]
Connect = Callable[..., AbstractAsyncContextManager[PostgresEventStore]]

TABLES = ("stream", "event", "private", "snapshot", "reaction", "target", "listed", "parked")


@pytest.fixture(scope="session")
def postgres_flavour(last_postgres_flavour: PostgresFlavour) -> PostgresFlavour:
    """Only the last one of this machine; `test_suites` takes each of them."""
    return last_postgres_flavour


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a figure that the test has found."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return show


@pytest.fixture(scope="session")
async def shared_schema(postgres_dsn: str) -> AsyncIterator[str]:
    """Return a schema whose name needs quoting; it is dropped after all tests."""
    name = f'test "{secrets.token_hex(6)}"'
    async with PostgresEventStore.connect(postgres_dsn, schema=name) as store:
        await store.migrate()
    yield name
    await execute(postgres_dsn, f"DROP SCHEMA {quoted(name)} CASCADE")


@pytest.fixture
async def schema(postgres_dsn: str, shared_schema: str) -> str:
    """Return a schema with empty tables."""
    names = ", ".join(f"{quoted(shared_schema)}.{table}" for table in TABLES)
    await execute(postgres_dsn, f"SET arvo.maintenance = on; TRUNCATE {names} RESTART IDENTITY")
    return shared_schema


@pytest.fixture
async def no_schema(postgres_dsn: str) -> AsyncIterator[str]:
    """Return the name of a missing schema; it is dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    yield name
    await execute(postgres_dsn, f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")


@pytest.fixture
def fast_dsn(postgres_dsn: str) -> str:
    """Return a DSN for tests that lose nothing if the server does not wait for its disk."""
    return f"{postgres_dsn}?synchronous_commit=off"


@pytest.fixture
def connect_to(fast_dsn: str, schema: str) -> Connect:
    """Return a function that opens stores on the empty schema."""

    def connect(**options: object) -> AbstractAsyncContextManager[PostgresEventStore]:
        return PostgresEventStore.connect(fast_dsn, schema=schema, **options)  # type: ignore[arg-type]

    return connect


@pytest.fixture
async def store(connect_to: Connect) -> AsyncIterator[PostgresEventStore]:
    async with connect_to() as store:
        yield store


@asynccontextmanager
async def behind_proxy(
    dsn: str, schema: str, *, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[tuple[FaultProxy, PostgresEventStore]]:
    """Open a store with one connection, through a proxy that can cut it."""
    user, _, place = dsn.partition("@")
    address, _, database = place.partition("/")
    host, _, port = address.partition(":")
    async with FaultProxy.open(host=host, port=int(port or 5432)) as proxy:
        through = f"{user}@{proxy.host}:{proxy.port}/{database}"
        connecting = PostgresEventStore.connect(through, schema=schema, pool_size=1, clock=clock)
        async with connecting as store:
            yield proxy, store


@pytest.fixture
def advance(postgres_dsn: str, schema: str) -> Advance:
    """Let time pass for leases and for what sleeps: the times in the tables are moved back."""

    async def advance(delta: timedelta) -> None:
        seconds = delta.total_seconds()
        back = f"- interval '{seconds} seconds'"
        await execute(
            postgres_dsn,
            f"UPDATE {quoted(schema)}.target SET lease_until = lease_until {back}, due = due {back}; "
            f"UPDATE {quoted(schema)}.reaction SET lease_until = lease_until {back}",
        )

    return advance
