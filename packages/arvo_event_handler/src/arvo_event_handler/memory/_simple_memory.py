"""The plain machine memory: a dict in the process."""

from typing_extensions import override

from arvo_event_handler._errors import TransactionViolation

from ._memory import IMachineMemory, Record, check_machine_id
from ._record_codec import decode_record, encode_record


class SimpleMachineMemory(IMachineMemory):
    """Keeps records in a dict, with locks that never expire. For tests, demos and short runs.

    The four calls of `IMachineMemory` and no more: `lock` does not wait, and a holder that never
    unlocks keeps its workflow locked. Everything is gone when the process ends.

    Example:
        >>> memory = SimpleMachineMemory()
        >>> asyncio.run(memory.write("order-7", {"status": "active"}, None))
        >>> asyncio.run(memory.read("order-7"))
        {'status': 'active'}
    """

    def __init__(self) -> None:
        # Bytes, so that no caller shares an object with the memory.
        self._records: dict[str, bytes] = {}
        # The records last read, until they are overwritten. A write with one of them as `previous`
        # needs no comparison of bytes, which would cost as much as the write itself.
        self._handed_out: dict[str, Record] = {}
        self._locked: set[str] = set()

    @override
    async def read(self, machine_id: str) -> Record | None:
        stored = self._records.get(check_machine_id(machine_id))
        if stored is None:
            return None
        record = self._handed_out[machine_id] = decode_record(stored)
        return record

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        if not self._is_latest(check_machine_id(machine_id), previous):
            raise TransactionViolation.version_moved(machine_id)
        self._records[machine_id] = encode_record(record)
        self._handed_out.pop(machine_id, None)

    @override
    async def lock(self, machine_id: str) -> bool:
        if check_machine_id(machine_id) in self._locked:
            return False
        self._locked.add(machine_id)
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        self._locked.discard(check_machine_id(machine_id))
        self._handed_out.pop(machine_id, None)
        return True

    def _is_latest(self, machine_id: str, record: Record | None) -> bool:
        if record is None:
            return machine_id not in self._records
        if record is self._handed_out.get(machine_id):
            return True
        return self._records.get(machine_id) == encode_record(record)
