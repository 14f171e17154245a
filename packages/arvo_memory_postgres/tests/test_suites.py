"""All suites of arvo_event_handler pass on every PostgreSQL of the machine."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from arvo_event_handler.memory import ILeasedMachineMemory, LockPolicy
from arvo_event_handler.testing import (
    ClosedMachineMemorySuite,
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    MachineTimerSuite,
    SharedMachineMemorySuite,
    StepHistorySuite,
    WorkflowQueriesSuite,
)
from arvo_memory_postgres import PostgresMachineMemory

from .conftest import Connect, fetch, quoted

# Leases last as long as a call may take on a busy machine; calls do not wait long. Letting time pass
# opens a connection, so `max_hold` should not take many steps.
POLICY = LockPolicy(max_wait=timedelta(milliseconds=100), max_hold=timedelta(minutes=1))
# A hundred calls wait for a few connections, which can take long on a busy machine.
POOL_TIMEOUT = timedelta(minutes=1)


@pytest.fixture
def connect(connect_to: Connect) -> ConnectLeasedMachineMemory:
    return lambda: connect_to(policy=POLICY, pool_timeout=POOL_TIMEOUT)


@pytest.fixture
async def memory(connect_to: Connect) -> AsyncIterator[PostgresMachineMemory]:
    async with connect_to(policy=POLICY, pool_timeout=POOL_TIMEOUT) as memory:
        yield memory


class TestFourCalls(MachineMemorySuite):
    pass


class TestSharedData(SharedMachineMemorySuite):
    pass


@pytest.fixture
def let_pass(postgres_dsn: str, schema: str) -> LetTimePass:
    """Make everything older: leases, records and holds end sooner, starts and steps are longer ago."""
    tables = {
        "machines": ("lease_until", "expires_at", "created_at", "updated_at"),
        "machines_chunks": ("freed_at",),
        "machines_due": ("life", "at", "held_until"),
    }

    async def let_pass(delta: timedelta) -> None:
        for table, columns in tables.items():
            earlier = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
            await fetch(postgres_dsn, f"UPDATE {quoted(schema)}.{table} SET {earlier}", delta)

    return let_pass


class TestLeases(LeasedMachineMemorySuite):
    pass


class TestTimers(MachineTimerSuite):
    pending = 1000


class TestQueries(WorkflowQueriesSuite):
    pass


class TestHistory(StepHistorySuite):
    @pytest.fixture
    def connect(self, connect_to: Connect) -> ConnectLeasedMachineMemory:
        return lambda: connect_to(policy=POLICY, pool_timeout=POOL_TIMEOUT, history=self.history)

    @pytest.fixture
    async def memory(
        self, connect: ConnectLeasedMachineMemory
    ) -> AsyncIterator[ILeasedMachineMemory]:
        async with connect() as memory:
            yield memory

    @pytest.fixture
    async def forgetful(self, connect_to: Connect) -> AsyncIterator[PostgresMachineMemory]:
        async with connect_to(policy=POLICY, pool_timeout=POOL_TIMEOUT) as memory:
            yield memory


@pytest.mark.scaled
@pytest.mark.skipif(os.environ.get("ARVO_FULL") != "1", reason="the long check runs it")
class TestWithoutPreparedStatements(MachineMemorySuite):
    """A PgBouncer may not support them."""

    @pytest.fixture
    async def memory(self, connect_to: Connect) -> AsyncIterator[PostgresMachineMemory]:
        async with connect_to(
            policy=POLICY, pool_timeout=POOL_TIMEOUT, statement_cache_size=0
        ) as memory:
            yield memory


class TestClosed(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(self, connect_to: Connect) -> PostgresMachineMemory:
        async with connect_to() as memory:
            await memory.read("order-7")
        return memory
