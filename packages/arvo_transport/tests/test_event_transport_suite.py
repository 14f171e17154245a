"""The suite for transports passes on a correct transport and fails, by name, on broken ones."""

import pytest

from arvo_transport.testing import EngineUnderTest, EventTransportSuite

from .transports import engine_under_test


class TestInMemoryTransport(EventTransportSuite):
    @pytest.fixture
    def engine(self) -> EngineUnderTest:
        return engine_under_test()
