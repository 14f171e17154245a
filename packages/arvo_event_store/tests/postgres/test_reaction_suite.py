"""The suite of reactions passes on every PostgreSQL of the machine."""

import pytest
from real_servers.fixtures import postgres_flavour as postgres_flavour

from arvo_event_store.testing import ConnectStore

from .conftest import Connect
from .own_tables import SuiteWithTable


class TestReactions(SuiteWithTable):
    @pytest.fixture
    def connect(self, connect_to: Connect) -> ConnectStore:
        return connect_to
