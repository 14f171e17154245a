"""The suites of event stores pass on every PostgreSQL of the machine."""

import os

import pytest
from real_servers.fixtures import postgres_flavour as postgres_flavour

from arvo_event_store.testing import (
    ConnectLog,
    EventLogSuite,
    SharedEventLogSuite,
    StreamAdminSuite,
)

from .conftest import Connect

FULL = os.environ.get("ARVO_FULL") == "1"


@pytest.mark.scaled
class TestLog(EventLogSuite):
    many_events = 50_000 if FULL else 4_000


class TestStreams(StreamAdminSuite):
    pass


class TestSharedLog(SharedEventLogSuite):
    @pytest.fixture
    def connect(self, connect_to: Connect) -> ConnectLog:
        return connect_to
