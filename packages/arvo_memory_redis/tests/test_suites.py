"""The suites pass, on every server of this machine and over every transport."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from redis.asyncio import Redis

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
from arvo_memory_redis import RedisMachineMemory

from .aging import make_older
from .clients import BUSY_MACHINE, Connect

# Leases last as long as a call may take on a busy machine; calls do not wait long. Letting time pass
# reads all keys, so `max_hold` should not take many steps.
POLICY = LockPolicy(max_wait=timedelta(milliseconds=60), max_hold=timedelta(minutes=1))


@pytest.fixture
def connect(connect_url: Connect, redis_url: str, prefix: str) -> ConnectLeasedMachineMemory:
    return lambda: connect_url(redis_url, prefix=prefix, policy=POLICY, socket_timeout=BUSY_MACHINE)


@pytest.fixture
async def memory(connect: ConnectLeasedMachineMemory) -> AsyncIterator[ILeasedMachineMemory]:
    async with connect() as memory:
        yield memory


class TestFourCalls(MachineMemorySuite):
    pass


class TestShared(SharedMachineMemorySuite):
    pass


@pytest.fixture
async def let_pass(redis_url: str, prefix: str) -> AsyncIterator[LetTimePass]:
    async with Redis.from_url(redis_url) as client:
        yield partial(make_older, client, prefix)


class TestLeases(LeasedMachineMemorySuite):
    pass


class TestTimers(MachineTimerSuite):
    pending = 1000


class TestQueries(WorkflowQueriesSuite):
    lacks = frozenset({"root", "waits_for", "error", "no_step_since"})


class TestHistory(StepHistorySuite):
    @pytest.fixture
    def connect(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> ConnectLeasedMachineMemory:
        return lambda: connect_url(
            redis_url,
            prefix=prefix,
            policy=POLICY,
            socket_timeout=BUSY_MACHINE,
            history=self.history,
        )

    @pytest.fixture
    async def forgetful(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> AsyncIterator[RedisMachineMemory]:
        async with connect_url(redis_url, prefix=prefix, policy=POLICY) as memory:
            yield memory


class TestClosed(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> RedisMachineMemory:
        async with connect_url(redis_url, prefix=prefix) as memory:
            await memory.read("order-7")
        return memory
