"""The suite for shared memories passes on correct clients and fails, by name, on broken ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from arvo_event_handler import (
    IMachineMemory,
    MachineMemoryError,
    SimpleMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.memory import Record
from arvo_event_handler.testing import ConnectMachineMemory, SharedMachineMemorySuite


def moved(machine_id: str) -> TransactionViolation:
    return TransactionViolation(
        "another writer wrote", cause=TransactionViolationCause.VERSION_MOVED, subject=machine_id
    )


@dataclass(kw_only=True)
class Data:
    """What all clients of one test share."""

    records: SimpleMachineMemory = field(default_factory=SimpleMachineMemory)
    holders: dict[str, "Client"] = field(default_factory=dict)
    closed: bool = False


class Client(IMachineMemory):
    """Correct: all state is with the data, and a lock knows its holder."""

    def __init__(self, data: Data) -> None:
        self.data = data

    async def aclose(self) -> None:
        for machine_id in [key for key, holder in self.data.holders.items() if holder is self]:
            await self.unlock(machine_id)

    @override
    async def read(self, machine_id: str) -> Record | None:
        if self.data.closed:
            raise MachineMemoryError("closed", retryable=False, outcome="failed")
        return await self.data.records.read(machine_id)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await self.data.records.write(machine_id, record, previous)

    @override
    async def lock(self, machine_id: str) -> bool:
        if machine_id in self.data.holders:
            return False
        self.data.holders[machine_id] = self
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        if self.data.holders.get(machine_id) is self:
            del self.data.holders[machine_id]
        return True


class RemembersWhatItRead(Client):
    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._read: dict[str, Record] = {}

    @override
    async def read(self, machine_id: str) -> Record | None:
        if machine_id not in self._read:
            record = await super().read(machine_id)
            if record is None:
                return None
            self._read[machine_id] = record
        return self._read[machine_id]


class KeepsItsOwnData(Client):
    def __init__(self, data: Data) -> None:
        super().__init__(Data())


class TakesTheDataAlong(Client):
    @override
    async def aclose(self) -> None:
        self.data.records = SimpleMachineMemory()


class ClosesForAllClients(Client):
    @override
    async def aclose(self) -> None:
        self.data.closed = True


class ChecksWhatItRemembers(Client):
    """It compares `previous` with what it read last, not with what is stored."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._last: Record | None = None

    @override
    async def read(self, machine_id: str) -> Record | None:
        self._last = await super().read(machine_id)
        return self._last

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if previous != self._last:
            raise moved(machine_id)
        self._last = record
        await super().write(machine_id, record, await super().read(machine_id))


class ChecksAndWritesLater(Client):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if await self.read(machine_id) != previous:
            raise moved(machine_id)
        await asyncio.sleep(0)
        await super().write(machine_id, record, await self.read(machine_id))


class LocksForItself(Client):
    @override
    async def lock(self, machine_id: str) -> bool:
        return True


class LooksAndLocksLater(Client):
    @override
    async def lock(self, machine_id: str) -> bool:
        free = machine_id not in self.data.holders
        await asyncio.sleep(0)
        self.data.holders[machine_id] = self
        return free


class UnlocksForOthers(Client):
    @override
    async def unlock(self, machine_id: str) -> bool:
        self.data.holders.pop(machine_id, None)
        return True


BROKEN: dict[str, list[type[Client]]] = {
    "test_a_client_sees_what_another_wrote": [KeepsItsOwnData, RemembersWhatItRead],
    "test_a_record_survives_its_writer": [TakesTheDataAlong],
    "test_closing_a_client_leaves_the_others_working": [ClosesForAllClients],
    "test_a_write_over_another_clients_record_is_refused": [ChecksWhatItRemembers],
    "test_exactly_one_of_many_clients_wins_a_write": [ChecksAndWritesLater],
    "test_a_lock_excludes_other_clients": [LocksForItself],
    "test_only_one_of_many_clients_gets_the_lock": [LooksAndLocksLater],
    "test_a_client_cannot_unlock_what_another_holds": [UnlocksForOthers],
}


def connector(client: type[Client]) -> ConnectMachineMemory:
    data = Data()

    @asynccontextmanager
    async def connect() -> AsyncIterator[IMachineMemory]:
        memory = client(data)
        try:
            yield memory
        finally:
            await memory.aclose()

    return connect


class TestSoundClients(SharedMachineMemorySuite):
    @pytest.fixture
    def connect(self) -> ConnectMachineMemory:
        return connector(Client)


def test_every_behaviour_has_a_client_that_breaks_it() -> None:
    behaviours = {name for name in dir(SharedMachineMemorySuite) if name.startswith("test_")}
    assert {name for name, clients in BROKEN.items() if clients} == behaviours


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, client, id=f"{behaviour}-{client.__name__}")
        for behaviour, clients in BROKEN.items()
        for client in clients
    ],
)
async def test_a_broken_client_fails_by_name(behaviour: str, broken: type[Client]) -> None:
    with pytest.raises((AssertionError, MachineMemoryError, TransactionViolation)):
        await getattr(SharedMachineMemorySuite(), behaviour)(connector(broken))
