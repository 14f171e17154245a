import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from real_servers.fixtures import (
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
)
from real_servers.postgres_sql import execute as execute, fetch as fetch, quoted as quoted

from arvo_postgres import Connections, StatementRunner, TableName
from real_servers import FaultProxy

Connect = Callable[..., AbstractAsyncContextManager[Connections]]

NAME = TableName(schema="shop", table="orders")
"""The table that the spans of a test's statements name."""


@pytest.fixture
def connect_to(postgres_dsn: str) -> Connect:
    """Return a function that opens pools for the test alone."""

    def connect(**options: object) -> AbstractAsyncContextManager[Connections]:
        return Connections.connect(postgres_dsn, **options)  # type: ignore[arg-type]

    return connect


@pytest.fixture
async def schema(postgres_dsn: str) -> AsyncIterator[str]:
    """Return the name of a missing schema that needs quoting; it is dropped after the test."""
    name = f'test "{secrets.token_hex(6)}"'
    yield name
    await execute(postgres_dsn, f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")


def runner_on(connections: Connections) -> StatementRunner:
    return StatementRunner(connections, table=NAME)


@asynccontextmanager
async def behind_proxy(dsn: str) -> AsyncIterator[tuple[FaultProxy, Connections]]:
    """Open connections with a pool of one, through a proxy that can cut it."""
    user, _, place = dsn.partition("@")
    address, _, database = place.partition("/")
    host, _, port = address.partition(":")
    async with FaultProxy.open(host=host, port=int(port or 5432)) as proxy:
        through = f"{user}@{proxy.host}:{proxy.port}/{database}"
        async with Connections.connect(through, pool_size=1) as connections:
            yield proxy, connections
