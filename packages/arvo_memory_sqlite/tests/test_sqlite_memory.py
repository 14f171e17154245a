"""The suites pass, on a file and without one; and what only this memory promises."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from arvo_event_handler import (
    IMachineMemory,
    LockPolicy,
    MachineLease,
)
from arvo_event_handler.testing import (
    ConnectMachineMemory,
    MachineMemorySuite,
    SharedMachineMemorySuite,
)
from arvo_memory_sqlite import SqliteMachineMemory

QUICK = LockPolicy(max_wait=timedelta(milliseconds=30))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def memory(path: Path) -> AsyncIterator[SqliteMachineMemory]:
    async with SqliteMachineMemory.open(path, policy=QUICK) as memory:
        yield memory


async def granted(memory: SqliteMachineMemory, machine_id: str = "order-7") -> MachineLease:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    return lease


class TestOnAFile(MachineMemorySuite):
    @pytest.fixture
    async def memory(self, path: Path) -> AsyncIterator[IMachineMemory]:
        async with SqliteMachineMemory.open(path, policy=QUICK) as memory:
            yield memory


class TestWithoutAFile(MachineMemorySuite):
    @pytest.fixture
    async def memory(self) -> AsyncIterator[IMachineMemory]:
        async with SqliteMachineMemory.open(":memory:", policy=QUICK) as memory:
            yield memory


class TestShared(SharedMachineMemorySuite):
    @pytest.fixture
    def connect(self, path: Path) -> ConnectMachineMemory:
        return lambda: SqliteMachineMemory.open(path, policy=QUICK)
