"""Pytest fixtures for tests on real servers.

Import the fixtures that a package needs into its `conftest.py`, with those that they use themselves:

    from real_servers.fixtures import redis_flavour as redis_flavour
    from real_servers.fixtures import redis_server as redis_server
    from real_servers.fixtures import redis_url as redis_url
    from real_servers.fixtures import start_redis as start_redis

A test that asks for one runs once for each flavour of the machine: on Redis and on Valkey, on the
installed PostgreSQL and NATS and on those of the wheels; where `ARVO_TEST_SERVERS` is `last`, only on the last of
each kind, that of its wheel. `ARVO_TEST_REDIS_URL` and `ARVO_TEST_POSTGRES_DSN` name a server to use
instead, which may hold other data: use random prefixes and schemas, and drop them. Servers that a test
may kill are always started for it.

Without a server a test fails where `CI` is set, and is skipped elsewhere.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal, NoReturn, Protocol, TypeVar

import pytest

from ._discovery import (
    NatsFlavour,
    PostgresFlavour,
    RedisFlavour,
    ServerNotFoundError,
    first_nats,
    first_postgres,
    first_redis,
    nats_flavours,
    postgres_flavours,
    redis_flavours,
)
from ._nats import NatsServer
from ._postgres import PostgresServer
from ._redis import RedisServer
from ._redis_cluster import RedisCluster
from ._redis_sentinel import RedisSentinel

ServerT = TypeVar("ServerT")
GIVEN_REDIS = os.environ.get("ARVO_TEST_REDIS_URL")
GIVEN_POSTGRES = os.environ.get("ARVO_TEST_POSTGRES_DSN")


class StartRedis(Protocol):
    """Starts a server for one test, which may kill it."""

    def __call__(
        self,
        *,
        appendfsync: Literal["always", "everysec", "no"] | None = None,
        options: dict[str, str | int] | None = None,
    ) -> RedisServer:
        """Start it; arguments as `RedisServer.start`."""
        ...


class StartPostgres(Protocol):
    """Starts a server for one test, which may kill it."""

    def __call__(self, *, options: dict[str, str | int] | None = None) -> PostgresServer:
        """Start it; arguments as `PostgresServer.start`."""
        ...


class StartNats(Protocol):
    """Starts a server for one test, which may kill it."""

    def __call__(self, *, config: str = "", jetstream: bool = True) -> NatsServer:
        """Start it; arguments as `NatsServer.start`."""
        ...


def missing(error: ServerNotFoundError) -> NoReturn:
    """Fail where `CI` is set, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


@contextmanager
def running(server: AbstractContextManager[ServerT]) -> Iterator[ServerT]:
    """Enter a server that a test starts itself; where this machine has none, fail or skip as fixtures do."""
    try:
        with server as started:
            yield started
    except ServerNotFoundError as error:
        missing(error)


def _name(flavour: RedisFlavour | NatsFlavour | PostgresFlavour | None) -> str:
    return "none" if flavour is None else flavour.name


@pytest.fixture(scope="session", params=redis_flavours() or [None], ids=_name)
def redis_flavour(request: pytest.FixtureRequest) -> RedisFlavour:
    """Each Redis and Valkey of this machine."""
    flavour: RedisFlavour | None = request.param
    if flavour is not None:
        return flavour
    try:
        return first_redis()
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture(scope="session")
def redis_server(redis_flavour: RedisFlavour) -> Iterator[RedisServer]:
    """A server for all tests; leave it running and empty."""
    with RedisServer.start(redis_flavour) as server:
        yield server


if GIVEN_REDIS is None:

    @pytest.fixture(scope="session")
    def redis_url(redis_server: RedisServer) -> str:
        """The URL of the server for all tests."""
        return redis_server.url

else:

    @pytest.fixture(scope="session")
    def redis_url() -> str:
        """The URL of the server for all tests."""
        assert GIVEN_REDIS is not None
        return GIVEN_REDIS


@pytest.fixture(scope="session", params=redis_flavours()[-1:] or [None], ids=_name)
def redis_cluster(request: pytest.FixtureRequest) -> Iterator[RedisCluster]:
    """A cluster for all tests, of one flavour; leave it running and empty.

    What a client does with slots and redirections does not depend on the product.
    """
    try:
        flavour: RedisFlavour = request.param or first_redis()
    except ServerNotFoundError as error:
        missing(error)
    with RedisCluster.start(flavour) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinel(redis_flavour: RedisFlavour) -> Iterator[RedisSentinel]:
    """A Sentinel and its master for all tests; leave them running and empty."""
    with RedisSentinel.start(redis_flavour) as sentinel:
        yield sentinel


@pytest.fixture
def start_redis(redis_flavour: RedisFlavour) -> Iterator[StartRedis]:
    """Starts servers that the test may kill."""
    with ExitStack() as stack:

        def start(
            *,
            appendfsync: Literal["always", "everysec", "no"] | None = None,
            options: dict[str, str | int] | None = None,
        ) -> RedisServer:
            server: AbstractContextManager[RedisServer] = RedisServer.start(
                redis_flavour, appendfsync=appendfsync, options=options
            )
            return stack.enter_context(server)

        yield start


@pytest.fixture(scope="session", params=nats_flavours() or [None], ids=_name)
def nats_flavour(request: pytest.FixtureRequest) -> NatsFlavour:
    """Each NATS server of this machine."""
    flavour: NatsFlavour | None = request.param
    if flavour is not None:
        return flavour
    try:
        return first_nats()
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture(scope="session")
def nats_server(nats_flavour: NatsFlavour) -> Iterator[NatsServer]:
    """A server for all tests; leave it running."""
    with NatsServer.start(nats_flavour) as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(nats_server: NatsServer) -> str:
    """The URL of the server for all tests."""
    return nats_server.url


@pytest.fixture
def start_nats(nats_flavour: NatsFlavour) -> Iterator[StartNats]:
    """Starts servers that the test may kill."""
    with ExitStack() as stack:

        def start(*, config: str = "", jetstream: bool = True) -> NatsServer:
            server: AbstractContextManager[NatsServer] = NatsServer.start(
                nats_flavour, config=config, jetstream=jetstream
            )
            return stack.enter_context(server)

        yield start


@pytest.fixture(scope="session", params=postgres_flavours() or [None], ids=_name)
def postgres_flavour(request: pytest.FixtureRequest) -> PostgresFlavour:
    """Each PostgreSQL of this machine."""
    flavour: PostgresFlavour | None = request.param
    if flavour is not None:
        return flavour
    try:
        return first_postgres()
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture(scope="session", params=postgres_flavours()[-1:] or [None], ids=_name)
def last_postgres_flavour(request: pytest.FixtureRequest) -> PostgresFlavour:
    """Only the last of them: return it from a `postgres_flavour` of your own, where one is enough."""
    flavour: PostgresFlavour | None = request.param
    if flavour is not None:
        return flavour
    try:
        return first_postgres()
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture(scope="session")
def postgres_server(postgres_flavour: PostgresFlavour) -> Iterator[PostgresServer]:
    """A server for all tests; leave it running."""
    with PostgresServer.start(postgres_flavour) as server:
        yield server


if GIVEN_POSTGRES is None:

    @pytest.fixture(scope="session")
    def postgres_dsn(postgres_server: PostgresServer) -> str:
        """The DSN of the server for all tests."""
        return postgres_server.dsn

else:

    @pytest.fixture(scope="session")
    def postgres_dsn() -> str:
        """The DSN of the server for all tests."""
        assert GIVEN_POSTGRES is not None
        return GIVEN_POSTGRES


@pytest.fixture
def start_postgres(postgres_flavour: PostgresFlavour) -> Iterator[StartPostgres]:
    """Starts servers that the test may kill."""
    with ExitStack() as stack:

        def start(*, options: dict[str, str | int] | None = None) -> PostgresServer:
            server: AbstractContextManager[PostgresServer] = PostgresServer.start(
                postgres_flavour, options=options
            )
            return stack.enter_context(server)

        yield start
