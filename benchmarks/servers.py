"""Starts the servers that benchmarks need."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.workload import UnavailableError
from real_servers import NatsServer, PostgresServer, RedisServer, ServerNotFoundError


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server.

    Raises:
        UnavailableError: None is installed.
    """
    try:
        with PostgresServer.start(options={"shared_buffers": "128MB"}) as server:
            yield server
    except ServerNotFoundError as error:
        raise UnavailableError(str(error)) from error


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis server.

    Raises:
        UnavailableError: None is installed.
    """
    try:
        with RedisServer.start() as server:
            yield server
    except ServerNotFoundError as error:
        raise UnavailableError(str(error)) from error


@contextmanager
def nats_server(*, config: str = "") -> Iterator[NatsServer]:
    """Run a NATS server with JetStream.

    Args:
        config: Further lines of its configuration.

    Raises:
        UnavailableError: None is installed.
    """
    try:
        with NatsServer.start(config=config) as server:
            yield server
    except ServerNotFoundError as error:
        raise UnavailableError(str(error)) from error
