"""The suite for closed memories passes on a correct memory and fails, by name, on broken ones."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import MachineLease, Record, RecordWrite
from arvo_event_handler.testing import ClosableMachineMemory, ClosedMachineMemorySuite
from arvo_time.testing import FakeClock

from .leased_memory import LeasedMemory


class Closable(LeasedMemory, ClosableMachineMemory):
    """Correct: refuses every call once it is closed."""

    def __init__(self) -> None:
        super().__init__(clock=FakeClock())
        self.closed = False

    @override
    async def aclose(self) -> None:
        self.closed = True

    def refusal(self) -> MachineMemoryError:
        return MachineMemoryError("this memory is closed", retryable=False, outcome="failed")

    def check_open(self, call: str) -> None:
        if self.closed:
            raise self.refusal()

    @override
    async def read(self, machine_id: str) -> Record | None:
        self.check_open("read")
        return await super().read(machine_id)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        self.check_open("write")
        await super().write(machine_id, record, previous)

    @override
    async def lock(self, machine_id: str) -> bool:
        self.check_open("lock")
        return await super().lock(machine_id)

    @override
    async def unlock(self, machine_id: str) -> bool:
        self.check_open("unlock")
        return await super().unlock(machine_id)

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        self.check_open("acquire")
        return await super().acquire(machine_id, after=after)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        self.check_open("commit")
        await super().commit(lease, write)

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        self.check_open("chunks")
        return await super().chunks(lease)

    @override
    async def release(self, lease: MachineLease) -> None:
        self.check_open("release")
        await super().release(lease)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        self.check_open("renew")
        return await super().renew(lease)


class ClosesOnce(Closable):
    @override
    async def aclose(self) -> None:
        self.check_open("aclose")
        await super().aclose()


class InvitesToTryAgain(Closable):
    @override
    def refusal(self) -> MachineMemoryError:
        return MachineMemoryError("no connection", retryable=True, outcome="failed")


class DoesNotKnowWhatHappened(Closable):
    @override
    def refusal(self) -> MachineMemoryError:
        return MachineMemoryError("no connection", retryable=False, outcome="unknown")


class StillAnswers(Closable):
    def __init__(self, call: str) -> None:
        super().__init__()
        self._call = call

    @override
    def check_open(self, call: str) -> None:
        if call != self._call:
            super().check_open(call)


async def used_and_closed(memory: Closable) -> Closable:
    lease = await memory.acquire("order-7")
    assert lease is not None
    await memory.release(lease)
    await memory.aclose()
    return memory


class TestSoundMemory(ClosedMachineMemorySuite):
    @pytest.fixture
    async def closed_memory(self) -> ClosableMachineMemory:
        return await used_and_closed(Closable())


async def test_a_memory_that_can_be_closed_only_once_fails_by_name() -> None:
    memory = await used_and_closed(ClosesOnce())
    with pytest.raises(MachineMemoryError):
        await ClosedMachineMemorySuite().test_closing_again_does_nothing(memory)


@pytest.mark.parametrize(
    "broken",
    [
        InvitesToTryAgain(),
        DoesNotKnowWhatHappened(),
        *map(
            StillAnswers,
            ["read", "write", "lock", "unlock"],
        ),
        *map(
            StillAnswers,
            ["acquire", "chunks", "commit", "release", "renew"],
        ),
    ],
)
async def test_a_memory_that_does_not_refuse_fails_by_name(broken: Closable) -> None:
    memory = await used_and_closed(broken)
    with pytest.raises(AssertionError):
        await ClosedMachineMemorySuite().test_every_call_of_a_closed_memory_is_refused(memory)
