"""Makes a four-call machine memory look like a leased one, so that execution knows only leases."""

import logging
from datetime import timedelta

from typing_extensions import override

from ._errors import TransactionViolation, TransactionViolationCause
from ._memory import ILeasedMachineMemory, IMachineMemory, LockPolicy, MachineLease, Record
from ._shield import shielded

_logger = logging.getLogger("arvo_event_handler")

_POLICY = LockPolicy()


class FourCallMemory(ILeasedMachineMemory):
    """Leases on top of `lock`, `read`, `write` and `unlock`.

    Args:
        memory: The memory.
        locking: Whether to lock at all. Without it two writers are told apart by `previous` only.
    """

    def __init__(self, memory: IMachineMemory, *, locking: bool) -> None:
        self._memory = memory
        self._locking = locking

    @property
    @override
    def policy(self) -> LockPolicy:
        return _POLICY

    @override
    async def acquire(self, machine_id: str) -> MachineLease | None:
        if self._locking and not await self._memory.lock(machine_id):
            return None
        try:
            record = await self._memory.read(machine_id)
        except BaseException as error:
            await shielded(self._unlock(machine_id))
            if not isinstance(error, Exception) or isinstance(error, TransactionViolation):
                raise
            raise TransactionViolation(
                f"the machine memory could not be read: {error}",
                cause=TransactionViolationCause.READ_FAILURE,
                subject=machine_id,
            ) from error
        return MachineLease(machine_id=machine_id, owner="", version=0, record=record)

    @override
    async def commit(
        self, lease: MachineLease, record: Record, *, expires_in: timedelta | None = None
    ) -> None:
        await self._memory.write(lease.machine_id, record, lease.record)
        await self._unlock(lease.machine_id)

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._unlock(lease.machine_id)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        return True  # the four calls know no expiry

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

    async def _unlock(self, machine_id: str) -> None:
        if not self._locking:
            return
        try:
            await self._memory.unlock(machine_id)
        except Exception:
            # The record is safe already; at worst others wait until the lock frees itself.
            _logger.warning("could not unlock %s", machine_id, exc_info=True)
