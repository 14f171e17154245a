"""A machine memory that can wait for the renewals of its leases."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    Record,
    RecordWrite,
)


class WatchedRenewals(ILeasedMachineMemory):
    """Passes every call on to another memory.

    Args:
        memory: The other memory.
    """

    def __init__(self, memory: ILeasedMachineMemory) -> None:
        self._memory = memory
        self._under_way = 0
        self._ended = asyncio.Condition()
        self.renewed = 0
        """Number of successful renewals."""

    async def settled(self) -> None:
        """Wait until no renewal is under way."""
        async with self._ended:
            await self._ended.wait_for(lambda: not self._under_way)

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._memory.policy

    @property
    @override
    def chunk_bytes(self) -> int:
        return self._memory.chunk_bytes

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        return await self._memory.chunks(lease)

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await self._memory.acquire(machine_id, after=after)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await self._memory.commit(lease, write)

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._memory.release(lease)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        self._under_way += 1
        try:
            renewed = await self._memory.renew(lease)
        finally:
            self._under_way -= 1
            async with self._ended:
                self._ended.notify_all()
        self.renewed += renewed
        return renewed

    @override
    async def read(self, machine_id: str) -> Record | None:
        return await self._memory.read(machine_id)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await self._memory.write(machine_id, record, previous)

    @override
    async def lock(self, machine_id: str) -> bool:
        return await self._memory.lock(machine_id)

    @override
    async def unlock(self, machine_id: str) -> bool:
        return await self._memory.unlock(machine_id)
