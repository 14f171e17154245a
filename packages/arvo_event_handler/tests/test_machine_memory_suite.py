"""The shipped suites pass on the plain memory, alone and shared by several clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from typing_extensions import override

from arvo_event_handler import IMachineMemory, Record, SimpleMachineMemory
from arvo_event_handler.testing import (
    ConnectMachineMemory,
    MachineMemorySuite,
    SharedMachineMemorySuite,
)


class TestSimpleMachineMemory(MachineMemorySuite):
    @pytest.fixture
    def memory(self) -> IMachineMemory:
        return SimpleMachineMemory()


class Client(IMachineMemory):
    """One of several users of one memory: it gives back only locks that it took itself."""

    def __init__(self, data: SimpleMachineMemory) -> None:
        self._data = data
        self._held: set[str] = set()

    @override
    async def read(self, machine_id: str) -> Record | None:
        return await self._data.read(machine_id)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await self._data.write(machine_id, record, previous)

    @override
    async def lock(self, machine_id: str) -> bool:
        if not await self._data.lock(machine_id):
            return False
        self._held.add(machine_id)
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        if machine_id not in self._held:
            return True
        self._held.remove(machine_id)
        return await self._data.unlock(machine_id)


class TestClientsOfOneSimpleMachineMemory(SharedMachineMemorySuite):
    @pytest.fixture
    def connect(self) -> ConnectMachineMemory:
        data = SimpleMachineMemory()

        @asynccontextmanager
        async def client() -> AsyncIterator[IMachineMemory]:
            yield Client(data)

        return client
