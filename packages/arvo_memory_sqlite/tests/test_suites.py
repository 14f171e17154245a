"""The suites for machine memories pass, on a file and without one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from arvo_event_handler import ILeasedMachineMemory, LockPolicy
from arvo_event_handler.testing import (
    ClosableMachineMemory,
    ClosedMachineMemorySuite,
    ConnectLeasedMachineMemory,
    LeasedMachineMemorySuite,
    LetTimePass,
    MachineMemorySuite,
    SharedMachineMemorySuite,
)
from arvo_memory_sqlite import SqliteMachineMemory

# The time is the machine's own, and so are its threads: the longest wait is a real one.
POLICY = LockPolicy(ttl=timedelta(milliseconds=400), max_wait=timedelta(milliseconds=40))


class OnAFile:
    @pytest.fixture
    def connect(self, tmp_path: Path) -> ConnectLeasedMachineMemory:
        return lambda: SqliteMachineMemory.open(
            tmp_path / "state.db", policy=POLICY, synchronous="normal"
        )

    @pytest.fixture
    async def memory(
        self, connect: ConnectLeasedMachineMemory
    ) -> AsyncIterator[ILeasedMachineMemory]:
        async with connect() as memory:
            yield memory


class WithoutAFile:
    @pytest.fixture
    async def memory(self) -> AsyncIterator[ILeasedMachineMemory]:
        async with SqliteMachineMemory.open(":memory:", policy=POLICY) as memory:
            yield memory

    @pytest.fixture
    def connect(self, memory: ILeasedMachineMemory) -> ConnectLeasedMachineMemory:
        @asynccontextmanager
        async def same() -> AsyncIterator[ILeasedMachineMemory]:
            yield memory

        def connect() -> AbstractAsyncContextManager[ILeasedMachineMemory]:
            return same()

        return connect


@pytest.fixture
def let_pass() -> LetTimePass:
    return lambda delta: asyncio.sleep(delta.total_seconds())


class TestMemoryOnAFile(OnAFile, MachineMemorySuite):
    pass


class TestMemoryWithoutAFile(WithoutAFile, MachineMemorySuite):
    pass


class TestSharedFile(OnAFile, SharedMachineMemorySuite):
    pass


class TestLeasesOnAFile(OnAFile, LeasedMachineMemorySuite):
    pass


class TestLeasesWithoutAFile(WithoutAFile, LeasedMachineMemorySuite):
    pass


class TestClosed(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(self, tmp_path: Path) -> ClosableMachineMemory:
        async with SqliteMachineMemory.open(tmp_path / "state.db") as memory:
            await memory.read("order-7")
        return memory
