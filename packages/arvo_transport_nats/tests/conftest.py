from collections.abc import Iterator

import pytest
from real_servers.fixtures import nats_flavour as nats_flavour, start_nats as start_nats

from real_servers import NatsFlavour, NatsServer

SMALL_EVENTS = "max_payload: 327680"


@pytest.fixture(scope="session")
def nats_server(nats_flavour: NatsFlavour) -> Iterator[NatsServer]:
    """A server for all tests, with a limit that makes the tests of large events fast."""
    with NatsServer.start(nats_flavour, config=SMALL_EVENTS) as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(nats_server: NatsServer) -> str:
    return nats_server.url
