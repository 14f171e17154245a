"""Makes a four-call machine memory look like one with leases, the only kind execution knows."""

from itertools import count

from typing_extensions import override

from arvo_event_handler._errors import (
    TransactionViolation,
    TransactionViolationCause,
    message_of,
    retryable_of,
)
from arvo_time.cancellation import shielded, take_or_give_back
from arvo_time.logs import bounded_logger

from ._memory import IMachineMemory, MachineLease, WorkflowMemory
from ._record_write import RecordWrite
from ._simple_memory import SimpleMachineMemory

_logger = bounded_logger("arvo_event_handler")


class FourCallMemory(WorkflowMemory):
    """Leases on top of `lock`, `read`, `write` and `unlock`.

    A commit is a `write` with `previous`, regardless of who has the lock by then: here too the
    first one wins, as far as the memory compares `previous`. Only the record is stored:
    four calls have no place for tails and chunks.

    Args:
        memory: The memory.
        locking: Whether to lock at all. Without locks only `previous` keeps two writers apart.
    """

    def __init__(self, memory: IMachineMemory, *, locking: bool) -> None:
        self._memory = memory
        self._locking = locking
        # The calls of SimpleMachineMemory never wait, so they cannot be cancelled half-way and
        # need no shield, which saves two tasks.
        self._waits = type(memory) is not SimpleMachineMemory
        # The owners that must still unlock. A second unlock would free another holder's lock: the
        # memory takes all tasks of this process for one holder.
        self._holders: set[str] = set()
        # Owners are compared within this object only, so they need not be random.
        self._owners = map(str, count(1))

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        if self._locking and not await self._lock(machine_id):
            return None
        try:
            record = await self._memory.read(machine_id)
        except BaseException as error:
            if self._locking:
                await shielded(self._unlock(machine_id))
            if not isinstance(error, Exception) or isinstance(error, TransactionViolation):
                raise
            raise TransactionViolation(
                f"the machine memory could not be read: {message_of(error)}",
                cause=TransactionViolationCause.READ_FAILURE,
                subject=machine_id,
                retryable=retryable_of(error),
            ) from error
        if not self._locking:
            return MachineLease(machine_id=machine_id, owner="", version=0, record=record)
        owner = next(self._owners)
        self._holders.add(owner)
        return MachineLease(machine_id=machine_id, owner=owner, version=0, record=record)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await self._memory.write(lease.machine_id, write.record, lease.record)
        await self.release(lease)

    @override
    async def release(self, lease: MachineLease) -> None:
        if lease.owner not in self._holders:
            return
        self._holders.remove(lease.owner)
        unlocking = self._unlock(lease.machine_id)
        await (shielded(unlocking) if self._waits else unlocking)

    async def _lock(self, machine_id: str) -> bool:
        if not self._waits:
            return await self._memory.lock(machine_id)

        async def give_back(locked: bool) -> None:
            if locked:
                await self._unlock(machine_id)

        return await take_or_give_back(self._memory.lock(machine_id), give_back=give_back)

    async def _unlock(self, machine_id: str) -> None:
        try:
            await self._memory.unlock(machine_id)
        except Exception:
            # The record is safe already; at worst others wait until the lock frees itself.
            _logger.warning("could not unlock %s", machine_id, exc_info=True)
