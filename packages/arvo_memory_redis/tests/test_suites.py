"""The suites pass, on every server of this machine and over every transport."""

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
from arvo_memory_redis import RedisMachineMemory

from .clients import Connect

QUICK = LockPolicy(ttl=timedelta(milliseconds=600), max_wait=timedelta(milliseconds=60))
# Where many ask at once, none may lose its lock to a busy machine.
PATIENT = LockPolicy(max_wait=timedelta(milliseconds=30))


class TestFourCalls(MachineMemorySuite):
    @pytest.fixture
    async def memory(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> AsyncIterator[RedisMachineMemory]:
        async with connect_url(redis_url, prefix=prefix, policy=PATIENT) as memory:
            yield memory


class TestShared(SharedMachineMemorySuite):
    @pytest.fixture
    def connect(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> ConnectLeasedMachineMemory:
        return lambda: connect_url(redis_url, prefix=prefix, policy=PATIENT)


class TestLeases(LeasedMachineMemorySuite):
    @pytest.fixture
    async def memory(
        self, connect: ConnectLeasedMachineMemory
    ) -> AsyncIterator[RedisMachineMemory]:
        async with connect() as memory:
            assert isinstance(memory, RedisMachineMemory)
            yield memory

    @pytest.fixture
    def connect(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> ConnectLeasedMachineMemory:
        return lambda: connect_url(redis_url, prefix=prefix, policy=QUICK)

    @pytest.fixture
    def let_pass(self, transport: str) -> LetTimePass:
        if transport == "redis-py" and os.environ.get("ARVO_FULL") != "1":
            pytest.skip("waits for real: the quick check lets time pass over one transport only")
        return lambda delta: asyncio.sleep(delta.total_seconds())


class TestClosed(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(
        self, connect_url: Connect, redis_url: str, prefix: str
    ) -> RedisMachineMemory:
        async with connect_url(redis_url, prefix=prefix) as memory:
            await memory.read("order-7")
        return memory
