"""The transport does what every transport must do."""

from uuid import uuid4

import pytest

from arvo_transport.testing import EngineUnderTest, EventTransportSuite
from arvo_transport_nats import NatsTransport


async def kill(transport: NatsTransport) -> None:
    """End a client as the end of its process would."""
    await transport._client.close()


class TestNatsTransport(EventTransportSuite):
    @pytest.fixture
    def engine(self, nats_url: str) -> EngineUnderTest:
        namespace = f"suite-{uuid4().hex[:12]}"
        return EngineUnderTest(
            connect=lambda *, patience: NatsTransport.connect(
                nats_url, namespace=namespace, partitions=8, patience=patience
            ),
            kill=kill,
        )
