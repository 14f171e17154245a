"""Two machine memories that record their calls and inject faults: a plain and a leased one."""

import secrets
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Protocol

from typing_extensions import override

from arvo_event_handler import IMachineMemory, TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import LockPolicy, MachineLease, Record, RecordWrite
from arvo_event_handler.memory._journaled_record import to_typescript, whole

Faults = Mapping[str, str]
"""The faults to inject, by call: `lock`, `read`, `write`, `unlock`."""


class WatchedMemory(IMachineMemory, Protocol):
    """A memory that a scenario runs on."""

    calls: list[str] | None
    """The calls since the last `begin_step`; None if the original has no such calls."""

    @property
    def locked(self) -> list[str]:
        """The subjects that are locked or leased."""
        ...

    @property
    def records(self) -> dict[str, Record]:
        """The stored records as the original has them, by subject."""
        ...

    @property
    def keeps_charts(self) -> bool:
        """Whether the record of a machine has its definition."""
        ...

    def restore(self, records: Mapping[str, Record]) -> None:
        """Store records of the original."""
        ...

    def begin_step(self, faults: Faults) -> None:
        """Forget the calls of the previous step, and set the faults of this one."""
        ...


class PlainMemory(WatchedMemory):
    """The four calls of `IMachineMemory`, over a dict."""

    def __init__(self) -> None:
        self.calls: list[str] | None = []
        self._stored: dict[str, Record] = {}
        self._held: set[str] = set()
        self._faults = dict[str, str]()

    @property
    @override
    def locked(self) -> list[str]:
        return sorted(self._held)

    @property
    @override
    def records(self) -> dict[str, Record]:
        return self._stored

    @property
    @override
    def keeps_charts(self) -> bool:
        return True

    @override
    def restore(self, records: Mapping[str, Record]) -> None:
        self._stored.update(records)

    @override
    def begin_step(self, faults: Faults) -> None:
        self.calls = []
        self._faults = dict(faults)

    @override
    async def lock(self, machine_id: str) -> bool:
        self._fail("lock", machine_id)
        got = self._faults.get("lock") != "deny" and machine_id not in self._held
        self._note(f"lock {machine_id} -> {str(got).lower()}")
        if got:
            self._held.add(machine_id)
        return got

    @override
    async def read(self, machine_id: str) -> Record | None:
        self._fail("read", machine_id)
        record = deepcopy(self._stored.get(machine_id))
        self._note(f"read {machine_id} -> {'null' if record is None else 'record'}")
        return record

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        self._fail("write", machine_id)
        if previous != self._stored.get(machine_id):
            raise AssertionError("`previous` is not what was read")
        self._note(f"write {machine_id}")
        self._stored[machine_id] = deepcopy(record)

    @override
    async def unlock(self, machine_id: str) -> bool:
        self._fail("unlock", machine_id)
        self._held.discard(machine_id)
        self._note(f"unlock {machine_id} -> true")
        return True

    def _fail(self, call: str, machine_id: str) -> None:
        fault = self._faults.get(call)
        if fault == "error-once":
            del self._faults[call]
        if fault in ("error", "error-once"):
            self._note(f"{call} {machine_id} -> throws")
            raise ConnectionError(f"injected {call} failure")

    def _note(self, call: str) -> None:
        if self.calls is not None:
            self.calls.append(call)


class LeasedMemory(PlainMemory):
    """Leases over a dict; the version is checked inside the write, and never reused.

    Args:
        locking: Whether the original would lock. If not, faults of its lock are ignored here
            too, although a lease is always taken.
    """

    def __init__(self, *, locking: bool) -> None:
        super().__init__()
        self.calls = None
        self.policy = LockPolicy()
        self.chunk_bytes = 0
        self._locking = locking
        self._versions: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        self._tails: dict[str, bytes] = {}
        self._chunks: dict[str, list[tuple[int, bytes]]] = {}
        self._last_chunks: dict[str, int] = {}

    @property
    @override
    def records(self) -> dict[str, Record]:
        return {machine_id: self._record(machine_id) for machine_id in self._stored}

    @property
    @override
    def keeps_charts(self) -> bool:
        return False

    @property
    @override
    def locked(self) -> list[str]:
        return sorted(self._owners)

    @override
    def begin_step(self, faults: Faults) -> None:
        self._faults = {
            call: fault
            for call, fault in faults.items()
            if self._locking or call not in ("lock", "unlock")
        }

    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        """Grant a lease and read; None when there is a holder."""
        self._fail("lock", machine_id)
        if self._faults.get("lock") == "deny" or machine_id in self._owners:
            return None
        self._fail_to_read(machine_id)
        self._owners[machine_id] = secrets.token_hex(16)
        return MachineLease(
            machine_id=machine_id,
            owner=self._owners[machine_id],
            version=self._versions.get(machine_id, 0),
            record=deepcopy(self._stored.get(machine_id)),
            tail=self._tails.get(machine_id, b""),
            chunks=[chunk for chunk in self._chunks.get(machine_id, []) if chunk[0] > after],
            last_chunk=self._last_chunks.get(machine_id, 0),
        )

    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        """Return all that are not freed."""
        if self._versions.get(lease.machine_id, 0) != lease.version:
            raise TransactionViolation.version_moved(lease.machine_id)
        return self._chunks.get(lease.machine_id, [])

    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        """Write, and drop the lease unless a fault keeps it."""
        self._fail("write", lease.machine_id)
        if self._versions.get(lease.machine_id, 0) != lease.version:
            raise TransactionViolation.version_moved(lease.machine_id)
        self._stored[lease.machine_id] = deepcopy(write.record)
        self._versions[lease.machine_id] = lease.version + 1
        self._tails[lease.machine_id] = write.tail
        kept = [] if write.frees != "none" else self._chunks.get(lease.machine_id, [])
        last = self._last_chunks.get(lease.machine_id, 0)
        if write.chunk is not None:
            last = self._last_chunks[lease.machine_id] = last + 1
            if write.frees != "all":
                kept = [*kept, (last, write.chunk)]
        self._chunks[lease.machine_id] = kept
        if "unlock" not in self._faults:
            self._owners.pop(lease.machine_id, None)

    async def release(self, lease: MachineLease) -> None:
        """Drop the lease without writing."""
        self._fail("unlock", lease.machine_id)
        if self._owners.get(lease.machine_id) == lease.owner:
            del self._owners[lease.machine_id]

    async def renew(self, lease: MachineLease) -> bool:
        """Do nothing: leases last indefinitely here."""
        return self._owners.get(lease.machine_id) == lease.owner

    def _record(self, machine_id: str) -> Record:
        record = whole(
            deepcopy(self._stored[machine_id]),
            tail=self._tails.get(machine_id, b""),
            chunks=self._chunks.get(machine_id, ()),
        )
        return to_typescript(record, subject=machine_id)

    def _fail_to_read(self, machine_id: str) -> None:
        try:
            self._fail("read", machine_id)
        except ConnectionError as error:
            raise TransactionViolation(
                str(error), cause=TransactionViolationCause.READ_FAILURE, subject=machine_id
            ) from error
