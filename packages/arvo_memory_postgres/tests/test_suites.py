"""The suites of arvo_event_handler, whole, on every PostgreSQL of the machine."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from arvo_event_handler import LockPolicy
from arvo_event_handler.testing import (
    ClosedMachineMemorySuite,
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    SharedMachineMemorySuite,
)
from arvo_memory_postgres import PostgresMachineMemory

from .conftest import Connect

POLICY = LockPolicy(ttl=timedelta(milliseconds=600), max_wait=timedelta(milliseconds=60))
# Where no lease needs to run out, none does, however long a busy machine takes.
LASTING = LockPolicy(max_wait=timedelta(milliseconds=200))


@pytest.fixture
def connect(connect_to: Connect) -> ConnectLeasedMachineMemory:
    return lambda: connect_to(policy=POLICY)


@pytest.fixture
async def memory(connect_to: Connect) -> AsyncIterator[PostgresMachineMemory]:
    async with connect_to(policy=POLICY) as memory:
        yield memory


class TestFourCalls(MachineMemorySuite):
    @pytest.fixture
    async def memory(self, connect_to: Connect) -> AsyncIterator[PostgresMachineMemory]:
        async with connect_to(policy=LASTING) as memory:
            yield memory


class TestSharedData(SharedMachineMemorySuite):
    pass


class TestLeases(LeasedMachineMemorySuite):
    @pytest.fixture
    def let_pass(self) -> LetTimePass:
        return lambda delta: asyncio.sleep(delta.total_seconds())


@pytest.mark.skipif(os.environ.get("ARVO_FULL") != "1", reason="the long check runs it")
class TestWithoutPreparedStatements(MachineMemorySuite):
    """As behind a PgBouncer that knows none."""

    @pytest.fixture
    async def memory(self, connect_to: Connect) -> AsyncIterator[PostgresMachineMemory]:
        async with connect_to(policy=LASTING, statement_cache_size=0) as memory:
            yield memory


class TestClosed(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(self, connect_to: Connect) -> PostgresMachineMemory:
        async with connect_to() as memory:
            await memory.read("order-7")
        return memory
